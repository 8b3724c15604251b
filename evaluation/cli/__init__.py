"""The commands of ``python -m evaluation``: flags, and what they start."""
