"""Axes and marks of an SVG plot; colours are classes of the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.report.markup import Html, join, number, tag

NUM_COLOURS = 8
_FONT_WIDTH = 6.4  # of a character of 11 px, measured as an average


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from ``low`` to ``high`` to pixels; on a log axis both are above zero."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, at = (
            (math.log10(each) for each in (self.low, self.high, value))
            if self.is_log
            else (self.low, self.high, value)
        )
        return self.start + (at - low) / ((high - low) or 1.0) * (self.end - self.start)


def pad(low: float, high: float, share: float = 0.08) -> tuple[float, float]:
    """Widen a range by a share of it on either side, and a range without width by something."""
    margin = (high - low) * share or abs(high) * 0.1 or 0.05
    return low - margin, high + margin


def list_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Choose about ``count`` round values within a range."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 10) for at in range(first, math.floor(high / step + 1e-9) + 1)]


def list_log_ticks(low: float, high: float) -> list[float]:
    """Choose the powers of ten within a range, and more between them the shorter it is."""
    ratio = high / low
    digits = (1, 2, 3, 4, 6, 8) if ratio < 10 else (1, 2, 5) if ratio < 1000 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [digit * 10.0**power for power in powers for digit in digits]
    return [tick for tick in found if low * 0.999 <= tick <= high * 1.001]


def draw_x_axis(
    scale: Scale, ticks: Sequence[float], top: float, bottom: float, *, label: str = ""
) -> Html:
    """Draw vertical grid lines, their values below, and what the axis shows."""
    parts = []
    for tick in ticks:
        x = scale(tick)
        parts.append(tag("line", class_="grid", x1=x, x2=x, y1=float(top), y2=float(bottom)))
        parts.append(text(x, bottom + 15, format_tick(tick), anchor="middle", class_="tick"))
    if label:
        middle = (scale.start + scale.end) / 2
        parts.append(text(middle, bottom + 32, label, anchor="middle", class_="label"))
    return join(*parts)


def draw_y_axis(
    scale: Scale, ticks: Sequence[float], left: float, right: float, *, label: str = ""
) -> Html:
    """Draw horizontal grid lines, their values to the left, and above what the axis shows."""
    parts = []
    for tick in ticks:
        y = scale(tick)
        parts.append(tag("line", class_="grid", x1=float(left), x2=float(right), y1=y, y2=y))
        parts.append(text(left - 8, y + 4, format_tick(tick), anchor="end", class_="tick"))
    if label:
        parts.append(text(0.0, min(scale.start, scale.end) - 12, label, class_="label"))
    return join(*parts)


def text(x: float, y: float, content: str, *, anchor: str = "start", class_: str = "") -> Html:
    """Write a line of text whose baseline is at ``y``."""
    return tag("text", content, x=float(x), y=float(y), text_anchor=anchor, class_=class_ or None)


def dot(x: float, y: float, *, colour: int, tooltip: str, radius: float = 4.5) -> Html:
    """Draw a mark that says more when pointed at."""
    title = tag("title", tooltip)
    return tag("circle", title, class_=f"fill {series(colour)}", cx=x, cy=y, r=radius)


def path(points: Sequence[tuple[float, float]], *, class_: str) -> Html:
    """Draw a line through points."""
    steps = " L".join(f"{number(x)} {number(y)}" for x, y in points)
    return tag("path", class_=class_, d=f"M{steps}", fill="none")


def series(position: int) -> str:
    """Name the class that has the colour of a system; after eight they start again."""
    return f"s{position % NUM_COLOURS}"


def dash(position: int) -> str:
    """Name the class that tells systems of one colour apart by their lines."""
    return f"dash{position // NUM_COLOURS % 3}"


def figure(title: str, width: float, height: float, *marks: Html | None) -> Html:
    """Make an SVG that scales with the page and is one picture to a screen reader."""
    return tag(
        "svg",
        tag("title", title),
        *marks,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        width=number(width),
        height=number(height),
    )


def width_of(labels: Sequence[str], most: float = 150.0) -> float:
    """Estimate the pixels that the longest of some labels takes, up to a limit."""
    return min(most, max((len(label) for label in labels), default=0) * _FONT_WIDTH)


def fit(label: str, pixels: float) -> str:
    """Shorten a label to a width, its beginning and its end kept."""
    room = int(pixels / _FONT_WIDTH)
    if len(label) <= room:
        return label
    kept = max(2, room - 1)
    return f"{label[: kept - kept // 3]}…{label[-(kept // 3) :]}"


def spread(wanted: Sequence[float], gap: float, *, least: float = 0.0) -> list[float]:
    """Move positions apart so that neighbours are at least ``gap`` from each other.

    Args:
        wanted: Where labels would stand.
        gap: Pixels from one to the next.
        least: Above which none may stand.

    Returns:
        Where they stand, in the order given; as near as moving down, then up, leaves them.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = [wanted[place] for place in order]
    for at in range(1, len(placed)):
        placed[at] = max(placed[at], placed[at - 1] + gap)
    shift = (sum(placed) - sum(wanted)) / max(1, len(placed))
    shift = min(shift, min(placed, default=least) - least)
    found = [0.0] * len(wanted)
    for place, position in zip(order, placed, strict=True):
        found[place] = position - shift
    return found


def place_labels(
    wanted: Sequence[tuple[float, float]], widths: Sequence[float], gap: float
) -> list[float]:
    """Move labels down where they would cover one that is above.

    Args:
        wanted: Left end and height of each.
        widths: Pixels of each.
        gap: Pixels from one line of text to the next.

    Returns:
        The height of each.
    """
    placed: dict[int, float] = {}
    for at in sorted(range(len(wanted)), key=lambda at: wanted[at][1]):
        left, height = wanted[at]
        for other in sorted(placed, key=placed.__getitem__):
            start = wanted[other][0]
            is_beside = left > start + widths[other] or start > left + widths[at]
            if not is_beside and abs(placed[other] - height) < gap:
                height = placed[other] + gap
        placed[at] = height
    return [placed[at] for at in range(len(wanted))]


def format_tick(value: float) -> str:
    """Write a tick's value in the fewest digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
