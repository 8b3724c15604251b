"""Reranking: first-stage hits scored again by a model that reads query and document together."""
