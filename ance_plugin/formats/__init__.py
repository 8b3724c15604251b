"""Bytes to records and back: collections, topics, qrels, runs and vectors, each in its own module."""
