"""Flags declared once, errors turned into one line and an exit code."""
