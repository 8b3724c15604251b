"""Figures of the analyses, as SVG files that need nothing beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ance_plugin.train.plot import plot
from evaluation.negatives.findings import Analysis, Finding
from evaluation.negatives.gradients import Spread
from evaluation.negatives.strategies import DESCRIPTIONS, OWN

_LEAST = 1e-12  # losses of negatives that teach nothing underflow; a log axis has no zero


def draw_overlap(analysis: Analysis, output: Path) -> None:
    """Draw, for each series, each strategy's overlap over its checkpoints (figure 3).

    What a checkpoint finds itself is left out: of that, all is in its top.
    """
    groups = _group(analysis)
    figure, axes = _new_figure(len(groups), 1)
    for axis, (series, findings) in zip(axes[0], groups.items(), strict=True):
        labels = [found.label for found in findings]
        for name in (name for name in DESCRIPTIONS if name != OWN):
            points = [
                (place, found.strategies[name].overlap)
                for place, found in enumerate(findings)
                if name in found.strategies and found.strategies[name].overlap is not None
            ]
            if points:
                axis.plot(*zip(*points, strict=True), "o-", label=name)
        axis.set(title=series, ylim=(-0.03, 1.03))
        axis.set_xticks(range(len(labels)), labels, rotation=20, ha="right")
        axis.margins(x=0.2)
        axis.legend(fontsize="small")
    axes[0][0].set_ylabel(f"negatives in the top {analysis.settings.depth}")
    _save(figure, output)


def draw_gradients(analysis: Analysis, output: Path) -> None:
    """Draw each strategy's losses and gradient norms, mean and 10% to 90% (figure 4)."""
    groups = _group(analysis)
    figure, axes = _new_figure(len(groups), 2)
    for column, (series, findings) in enumerate(groups.items()):
        names = [name for name in DESCRIPTIONS if any(name in f.strategies for f in findings)]
        for place, found in enumerate(findings):
            offset = (place - (len(findings) - 1) / 2) * 0.6 / len(findings)
            for row, part in enumerate(("loss", "norm")):
                _draw_spreads(axes[row][column], found, names, part=part, offset=offset)
        for row, title in enumerate(("loss of a triple", "gradient norm of a triple")):
            axis = axes[row][column]
            axis.set(title=f"{series}: {title}", yscale="log")
            axis.set_xticks(range(len(names)), names, rotation=20, ha="right")
        axes[0][column].legend(fontsize="small")
    _save(figure, output)


def draw_training(analysis: Analysis, output: Path) -> bool:
    """Draw what the training runs logged; False, and no file, where none logged anything."""
    runs = [path for path, log in zip(analysis.runs, analysis.logs.values(), strict=True) if log]
    if runs:
        plot(runs, output)
    return bool(runs)


def _draw_spreads(
    axis: Any,  # noqa: ANN401 - matplotlib has no stubs
    found: Finding,
    names: Sequence[str],
    *,
    part: str,
    offset: float,
) -> None:
    points = []
    for place, name in enumerate(names):
        told = found.strategies[name].gradients if name in found.strategies else None
        if told is not None:
            points.append((place + offset, told.loss if part == "loss" else told.norms["all"]))
    if points:
        spreads = [_limit(spread) for _, spread in points]
        means = [mean for mean, _, _ in spreads]
        below = [max(mean - low, 0.0) for mean, low, _ in spreads]
        above = [max(high - mean, 0.0) for mean, _, high in spreads]
        places = [place for place, _ in points]
        axis.errorbar(places, means, (below, above), fmt="o", capsize=3, label=found.label)


def _limit(spread: Spread) -> tuple[float, float, float]:
    values = (spread.mean, spread.quantile_10, spread.quantile_90)
    return tuple(max(value, _LEAST) for value in values)  # type: ignore[return-value]


def _group(analysis: Analysis) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for found in analysis.findings:
        groups.setdefault(found.series, []).append(found)
    return groups


def _new_figure(columns: int, rows: int) -> Any:  # noqa: ANN401 - matplotlib has no stubs
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    size = (7 * columns, 4.5 * rows)
    return pyplot.subplots(rows, columns, figsize=size, constrained_layout=True, squeeze=False)


def _save(figure: Any, output: Path) -> None:  # noqa: ANN401 - matplotlib has no stubs
    from matplotlib import pyplot, rc_context

    with rc_context({"svg.hashsalt": "ance"}):  # the same analysis gives the same bytes
        figure.savefig(output, metadata={"Date": None})
    pyplot.close(figure)
