"""The plots of the page: measures with intervals, topics, recall, latency, overlap."""

from collections.abc import Sequence
from itertools import groupby

from evaluation.comparison import Comparison, Overlap
from evaluation.costs import find_front
from evaluation.report import plot
from evaluation.report.markup import Html, join, number, tag

_WIDE = 720.0


def draw_intervals(comparison: Comparison, measure: str) -> Html:
    """Draw each system's mean of a measure with its 95% interval."""
    names = list(comparison.values)
    left = plot.width_of(names, 130) + 14
    width, row, top = 340.0, 24.0, 26.0
    bottom = top + row * len(names)
    bounds = [comparison.interval(name, measure) for name in names]
    low, high = plot.pad(min(b[0] for b in bounds), max(b[1] for b in bounds))
    x = plot.Scale(low, high, left, width - 14)
    marks = [plot.text(0.0, 13.0, measure, class_="label")]
    marks.append(plot.draw_x_axis(x, plot.list_ticks(low, high, 4), top, bottom))
    for place, (name, (lower, upper)) in enumerate(zip(names, bounds, strict=True)):
        y, mean = top + row * (place + 0.5), comparison.mean(name, measure)
        said = f"{name}: {mean:.4f}, 95% interval {lower:.4f} to {upper:.4f}"
        colour = plot.series(place)
        marks += [
            plot.text(0.0, y + 4, plot.fit(name, left - 10), class_="name"),
            tag("line", class_=f"whisker {colour}", x1=x(lower), x2=x(upper), y1=y, y2=y),
            plot.dot(x(mean), y, colour=place, tooltip=said),
        ]
    return plot.figure(f"{measure} with 95% intervals", width, bottom + 24, *marks)


def draw_topics(differences: Sequence[float], *, title: str, colour: int, limit: float) -> Html:
    """Draw a system's differences to another on every topic, largest first.

    Args:
        differences: One a topic, in any order.
        title: What they are.
        colour: Position of the system.
        limit: The largest of any panel, so that panels have one scale.

    Returns:
        A plot with one step a topic.
    """
    width, height, left, top = 340.0, 150.0, 40.0, 26.0
    y = plot.Scale(-limit, limit, height - 8, top)
    values = sorted(differences, reverse=True)
    x = plot.Scale(0, len(values), left, width - 8)
    marks = [
        plot.text(0.0, 13.0, plot.fit(title, width), class_="label"),
        plot.draw_y_axis(y, plot.list_ticks(-limit, limit, 4), left, width - 8),
    ]
    position = 0
    for value, group in groupby(values):
        count = len(list(group))
        if value:
            sides = sorted((y(value), y(0)))
            class_ = f"fill {plot.series(colour)}" if value > 0 else "fill loss"
            marks.append(
                tag("rect", class_=class_, x=x(position), width=x(position + count) - x(position),
                    y=sides[0], height=sides[1] - sides[0])
            )  # fmt: skip
        position += count
    marks.append(tag("line", class_="zero", x1=left, x2=width - 8, y1=y(0), y2=y(0)))
    return plot.figure(title, width, height, *marks)


def draw_recall(comparison: Comparison) -> Html | None:
    """Draw mean recall at growing depths, on a log axis; None where no depth is shared."""
    curves = {name: curve for name, curve in comparison.recalls.items() if len(curve) > 1}
    if not curves:
        return None
    names = list(comparison.values)
    depths = sorted({depth for curve in curves.values() for depth in curve})
    right = _WIDE - plot.width_of(list(curves), 160) - 24
    x = plot.Scale(depths[0], depths[-1], 46, right, is_log=True)
    low, high = _bounds([value for curve in curves.values() for value in curve.values()])
    y = plot.Scale(low, high, 300, 30)
    marks = [
        plot.draw_y_axis(y, plot.list_ticks(low, high), 46, right, label="recall"),
        plot.draw_x_axis(x, depths, 30, 300, label="depth (hits looked at)"),
    ]
    ends = {name: (x(max(curve)), y(curve[max(curve)])) for name, curve in curves.items()}
    heights = plot.spread([end[1] for end in ends.values()], 15, least=16)
    for (name, curve), height in zip(curves.items(), heights, strict=True):
        place = names.index(name)
        points = [(x(depth), y(value)) for depth, value in curve.items()]
        marks.append(plot.path(points, class_=f"line {plot.series(place)} {plot.dash(place)}"))
        for depth, value in curve.items():
            said = f"{name}: recall@{depth} {value:.4f}"
            marks.append(plot.dot(x(depth), y(value), colour=place, tooltip=said, radius=2.8))
        marks.append(_end_label(name, ends[name], (right + 10, height), place))
    return plot.figure("Recall by depth", _WIDE, 340, *marks)


def draw_latency(comparison: Comparison, measure: str) -> Html | None:
    """Draw effectiveness against milliseconds a query, and the front none is better than."""
    costs = {cost.system: cost.latency_ms for cost in comparison.costs}
    if not costs:
        return None
    names = list(comparison.values)
    points = {
        name: (costs[name], comparison.mean(name, measure)) for name in names if name in costs
    }
    times = [time for time, _ in points.values()]
    low_x, high_x = min(times) / 1.6, max(times) * 1.6
    x = plot.Scale(low_x, high_x, 58, _WIDE - plot.width_of(list(points)) - 20, is_log=True)
    low, high = plot.pad(*_extremes([effect for _, effect in points.values()]), 0.15)
    y = plot.Scale(low, high, 300, 30)
    marks = [
        plot.draw_y_axis(y, plot.list_ticks(low, high), 58, x.end, label=measure),
        plot.draw_x_axis(
            x, plot.list_log_ticks(low_x, high_x), 30, 300, label="milliseconds a query (log)"
        ),
        _draw_front([points[name] for name in points], x, y),
    ]
    placed = [(x(time), y(effect)) for time, effect in points.values()]
    heights = plot.place_labels(placed, [plot.width_of([name]) for name in points], 15)
    for name, at, height in zip(points, placed, heights, strict=True):
        place = names.index(name)
        said = f"{name}: {points[name][0]:.2f} ms, {measure} {points[name][1]:.4f}"
        marks.append(plot.dot(*at, colour=place, tooltip=said, radius=6.0))
        marks.append(plot.text(at[0] + 8, height - 7, name, class_="name"))
    return plot.figure(f"{measure} against time of a query", _WIDE, 340, *marks)


def draw_overlap(comparison: Comparison, *, title: str, depth: int | None) -> Html:
    """Draw how alike every two systems' results are: documents in common, or RBO for None."""
    names = list(comparison.values)
    found = {(pair.first, pair.second): _value(pair, depth) for pair in comparison.overlaps}
    cell = 46.0 if len(names) <= 6 else 34.0
    left = plot.width_of(names, 110) + 8
    marks = [plot.text(0.0, 13.0, title, class_="label")]
    for row, first in enumerate(names):
        y = 26 + cell * row
        marks.append(plot.text(0.0, y + cell / 2 + 4, plot.fit(first, left - 4), class_="name"))
        for column, second in enumerate(names):
            value = found.get((first, second), found.get((second, first)))
            x = left + cell * column
            marks.append(_draw_cell(x, y, cell, value, f"{first} and {second}: {title}"))
    bottom = 26 + cell * len(names)
    for column, name in enumerate(names):
        at = left + cell * (column + 0.5)
        marks.append(
            plot.text(at, bottom + 16, plot.fit(name, cell), anchor="middle", class_="tick")
        )
    return plot.figure(title, left + cell * len(names) + 4, bottom + 24, *marks)


def _draw_cell(x: float, y: float, size: float, value: float | None, said: str) -> Html:
    if value is None:
        return tag("rect", class_="self", x=x, y=y, width=size - 2, height=size - 2, rx=3)
    shade = f"{0.05 + 0.5 * value:.2f}"  # dark text is read on all of it
    return join(
        tag("rect", tag("title", f"{said} {value:.3f}"), class_="heat", x=x, y=y, rx=3,
            width=size - 2, height=size - 2, fill_opacity=shade),
        plot.text(x + size / 2 - 1, y + size / 2 + 3, f"{value:.2f}", anchor="middle"),
    )  # fmt: skip


def _draw_front(points: Sequence[tuple[float, float]], x: plot.Scale, y: plot.Scale) -> Html:
    """Draw the Pareto front as steps: what is had at most for a time."""
    front = [points[place] for place in find_front(points)]
    corners = [(x(front[0][0]), y.start)]
    for (time, effect), (later, _) in zip(front, [*front[1:], (x.high, 0.0)], strict=True):
        corners += [(x(time), y(effect)), (x(later), y(effect))]
    return plot.path(corners, class_="front")


def _end_label(name: str, end: tuple[float, float], at: tuple[float, float], place: int) -> Html:
    line = f"M{number(end[0] + 4)} {number(end[1])} L{number(at[0] - 3)} {number(at[1])}"
    return join(
        tag("path", class_=f"leader {plot.series(place)}", d=line, fill="none"),
        plot.text(at[0], at[1] + 4, plot.fit(name, 160), class_="name"),
    )


def _value(pair: Overlap, depth: int | None) -> float:
    return pair.rbo if depth is None else pair.shares[depth]


def _extremes(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Start at zero unless all values are far from it; end at the largest, at most one."""
    low, high = _extremes(values)
    return (0.0 if low < 0.4 else max(0.0, low - 0.05)), min(1.0, high + 0.03)
