"""Training: BM25 warm-up, ANCE's refreshed negatives, and the cross-encoder that reranks."""
