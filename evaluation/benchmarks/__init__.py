"""Whole benchmarks: a table of them, the stages that make their runs, and the report."""
