"""Bytes to records and back: a module each for collections, topics, qrels, runs, vectors."""
