"""Fusion of runs: reciprocal ranks, Pyserini's interpolation, ranx's methods, and their tuning."""
