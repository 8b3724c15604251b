"""Rows of cells as text: aligned for a terminal, between pipes for Markdown."""

from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]]) -> str:
    """Align columns with spaces; every row has as many cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def pipe(rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table, whose header is the first row."""
    header, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_p(p_value: float) -> str:
    """Write a p-value with four decimals; smaller ones only as that."""
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.4f}"
