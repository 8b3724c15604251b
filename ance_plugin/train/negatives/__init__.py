"""Negatives: which documents a topic learns to tell from its positives, and the table of them."""
