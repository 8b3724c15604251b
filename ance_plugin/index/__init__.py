"""Searchable directories: Lucene for BM25, FAISS for vectors; stock Pyserini opens both."""
