"""Draw what training runs logged: dev measure, loss, overlap (figure 3), gradients (figure 4)."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ance_plugin.errors import FormatError
from ance_plugin.train.diagnostics import THIRDS
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.log import read_log

logger = logging.getLogger(__name__)

_SMOOTHED = 25  # steps in a moving mean, for one point a batch is noise


def plot(runs: Sequence[Path], output: Path) -> None:
    """Draw one or more runs into one figure.

    Args:
        runs: Their folders.
        output: The image; its ending says which kind.

    Raises:
        FileNotFoundError: A folder holds no training run.
        FormatError: A run has logged nothing yet, or the ending names no kind of image.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    logs = {}
    for run in runs:
        folder = TrainingFolder(run)
        folder.require_settings()
        logs[_name(run, runs)] = events = read_log(folder)
        if not events:
            raise FormatError(f"{folder.log}: has no events yet; train first")
    kinds = pyplot.gcf().canvas.get_supported_filetypes()
    if output.suffix.lstrip(".") not in kinds:
        raise FormatError(f"{output}: expected an ending of {', '.join(sorted(kinds))}")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(2, 3, figsize=(15, 8), constrained_layout=True)
    panels = _list_panels(next(iter(logs.values())))
    for axis, (title, kind, path, is_smoothed) in zip(axes.flat, panels, strict=False):
        for name, events in logs.items():
            points = list(_read(events, kind, path))
            values = [value for _, value in points]
            shown = _smooth(values) if is_smoothed else values
            marker = "" if is_smoothed else "o"
            axis.plot([step for step, _ in points], shown, marker=marker, markersize=3, label=name)
        axis.set(title=title, xlabel="step")
    axes.flat[0].legend()
    _draw_thirds(axes.flat[-1], logs)
    figure.savefig(output)
    pyplot.close("all")
    logger.info("drew %s", output)


def _name(run: Path, runs: Sequence[Path]) -> str:
    """Name a run by its folder, with what that stands in where another is called the same."""
    is_alone = [other.resolve().name for other in runs].count(run.resolve().name) == 1
    return run.resolve().name if is_alone else str(run)


def _list_panels(events: Sequence[dict[str, Any]]) -> list[tuple[str, str, tuple[str, ...], bool]]:
    """List title, kind of event, path to the value, and whether it is smoothed."""
    measured = next((event["dev"] for event in events if event.get("dev")), {"ndcg@10": None})
    measure = next(iter(measured))
    return [
        (f"dev {measure}", "refresh", ("dev", measure), False),
        (f"loss, mean of {_SMOOTHED} steps", "step", ("loss",), True),
        ("overlap of negatives with the search's top", "refresh", ("overlap",), False),
        ("topics whose positive is first", "refresh", ("margins", "share_won"), False),
        ("staleness of negatives, steps", "step", ("staleness",), False),
    ]


def _draw_thirds(axis: Any, logs: dict[str, list[dict[str, Any]]]) -> None:  # noqa: ANN401
    for name, events in logs.items():
        for third, style in zip(THIRDS, (":", "--", "-"), strict=True):
            points = list(_read(events, "step", ("gradient_norm", third)))
            values = _smooth([value for _, value in points])
            axis.plot([step for step, _ in points], values, style, label=f"{name}, {third}")
    axis.set(
        title=f"gradient norm by thirds of the layers, mean of {_SMOOTHED} steps",
        xlabel="step",
        yscale="log",
    )
    axis.legend(fontsize="small")


def _read(
    events: Sequence[dict[str, Any]], kind: str, path: Sequence[str]
) -> Iterator[tuple[int, float]]:
    for event in events:
        value: Any = event if event["event"] == kind else None
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, int | float) and value == value:  # NaN is left out
            yield event["step"], float(value)


def _smooth(values: Sequence[float]) -> list[float]:
    """Give the mean over the last steps."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    return [
        (sums[end] - sums[max(0, end - _SMOOTHED)]) / (end - max(0, end - _SMOOTHED))
        for end in range(1, len(sums))
    ]
