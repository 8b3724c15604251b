"""A comparison as a LaTeX table."""

from evaluation.comparison import Comparison
from evaluation.report.tables import (
    MARK,
    Style,
    describe_title,
    legend,
    list_flags,
    mean_rows,
    show,
)

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)
_FLAG = r"$^{\ast}$"


def format_latex(comparison: Comparison) -> str:
    """Write a booktabs table; the best mean of each measure is bold.

    The legend is its caption, with what makes values doubtful.
    """
    style = Style(
        escape=_escape,
        emphasise=r"\textbf{{{}}}".format,
        raise_letters=r"$^{{\mathrm{{{}}}}}$".format,
        mark=r"$^{\dagger}$",
        flag=_FLAG,
    )
    lines = [" & ".join(row) + r" \\" for row in mean_rows(comparison, style)]
    caption = f"{describe_title(comparison)}. {legend(comparison)}".strip()
    warnings = "".join(f" {_FLAG}{_escape(flag)}." for flag in list_flags(comparison))
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{_escape(caption).replace(MARK, r'$^{\dagger}$')}{warnings}}}",
            f"\\begin{{tabular}}{{l{'r' * len(comparison.settings.measures)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escape(text: str) -> str:
    return show(text).translate(_LATEX)
