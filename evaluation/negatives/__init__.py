"""The ANCE paper's analyses of negatives (arXiv 2007.00808): figures 3 and 4, table 6."""
