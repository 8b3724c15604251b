"""BM25, dense and hybrid searchers with Pyserini's ``search`` and ``batch_search``."""
