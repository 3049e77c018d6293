"""The pictures of the report: drawings whose colours are the page's and whose words are HTML, so that they
stay readable on a telephone and in the dark. Plain text in, HTML text out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

WIDTH, HEIGHT = 1000, 1000
DAY_TICKS = ("0:00", "6:00", "12:00", "18:00", "24:00")
LEVELS = 5  # of darkness in a strip
MOST_DAYS_NAMED = 7
LEAST_LABELLED = 0.09  # a narrower part of a bar has no room for its figure


@dataclass(frozen=True, slots=True)
class Layer:
    """tone: a class of report.css that gives it its colour."""

    tone: str
    label: str
    values: Values


@dataclass(frozen=True, slots=True)
class Scale:
    """The values at the top and the bottom of a drawing, and those that get a line."""

    top: float
    bottom: float
    ticks: tuple[float, ...]

    def y(self, value: float) -> float:
        return (self.top - value) / (self.top - self.bottom) * HEIGHT


def scale_for(highest: float, lowest: float = 0.0) -> Scale:
    """Round numbers around both, about four lines."""
    highest = highest if highest - lowest > 1e-6 else lowest + 1
    span = highest - lowest
    magnitude = 10 ** math.floor(math.log10(span / 4))
    step = next(m * magnitude for m in (1, 2, 5, 10) if span / (m * magnitude) <= 5)
    first, last = math.floor(lowest / step + 1e-9), math.ceil(highest / step - 1e-9)
    return Scale(last * step, first * step, tuple(n * step for n in range(first, last + 1)))


def total(layers: Sequence[Layer]) -> Values:
    """The height of a stack."""
    return np.asarray(np.sum([layer.values for layer in layers], axis=0))


def legend(layers: Sequence[tuple[str, str]]) -> str:
    """[(tone, label), …]"""
    items = "".join(f'<li><i class="{tone}"></i>{escape(label)}</li>' for tone, label in layers)
    return f'<ul class="legend">{items}</ul>'


def day_chart(
    label: str,
    above: Sequence[Layer],
    below: Sequence[Layer],
    scale: Scale,
    line: Layer | None = None,
    unit: str = "kW",
) -> str:
    """Areas through the 24 hours, stacked upwards and downwards from zero. label: for who cannot see it."""
    shapes = [f'<path class="grid" d="{_grid(scale)}"/>']
    for layers, sign in ((above, 1), (below, -1)):
        base = np.zeros(0)
        for layer in layers:
            base = base if len(base) else np.zeros_like(layer.values)
            upper = base + sign * layer.values
            shapes.append(f'<path class="{layer.tone}" d="{_area(base, upper, scale)}"/>')
            base = upper
    if line is not None:
        shapes.append(f'<path class="line {line.tone}" d="M{_points(line.values, scale)}"/>')
    return _plot(label, "".join(shapes), scale, DAY_TICKS, unit)


def _plot(label: str, shapes: str, scale: Scale, x_ticks: Sequence[str], unit: str) -> str:
    words = []
    for tick in scale.ticks:
        figure = f"{abs(tick):g} {unit}" if tick == scale.top else f"{abs(tick):g}"
        words.append(f'<span class="y" style="top:{scale.y(tick) / HEIGHT:.2%}">{figure}</span>')
    for number, text in enumerate(x_ticks):
        words.append(f'<span class="x" style="left:{number / (len(x_ticks) - 1):.2%}">{text}</span>')
    return (
        f'<div class="plot"><svg role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'preserveAspectRatio="none">{shapes}</svg>{"".join(words)}</div>'
    )


def _grid(scale: Scale) -> str:
    lines = [f"M0 {scale.y(tick):.0f}H{WIDTH}" for tick in scale.ticks]
    return "".join(lines + [f"M{WIDTH * n // 4} 0V{HEIGHT}" for n in range(5)])


def _area(base: Values, upper: Values, scale: Scale) -> str:
    return f"M{_points(upper, scale)}L{_points(base, scale, backwards=True)}Z"


def _points(values: Values, scale: Scale, backwards: bool = False) -> str:
    """Each value in the middle of its part of the day; the day's ends take the first and the last."""
    at = (np.arange(len(values)) + 0.5) * WIDTH / len(values)
    points = [(0.0, values[0]), *zip(at, values, strict=True), (float(WIDTH), values[-1])]
    return " ".join(f"{x:.1f} {scale.y(y):.1f}" for x, y in (reversed(points) if backwards else points))


def share_bar(parts: Sequence[tuple[str, str, float]], whole: float, unit: str = "kWh") -> str:
    """One bar cut into (tone, label, value); `whole` is its full width."""
    if whole <= 0:
        return '<div class="bar"></div>'
    found = []
    for tone, label, value in parts:
        share = max(value, 0.0) / whole
        shown = f"{value:,.0f}".replace(",", "\u202f") if share >= LEAST_LABELLED else ""
        title = f"{label}: {value:,.1f} {unit}".replace(",", "\u202f")
        found.append(f'<b class="{tone}" style="width:{share:.2%}" title="{escape(title)}">{shown}</b>')
    return f'<div class="bar">{"".join(found)}</div>'


def columns(
    label: str, days: Sequence[str], stacks: Sequence[Layer], beside: Sequence[Layer], unit: str
) -> str:
    """A pair of columns per day: stacked, and beside it another stack."""
    tallest = max(total(stacks).max(), total(beside).max() if beside else 0.0)
    scale = scale_for(float(tallest))
    slot = WIDTH / len(days)
    shapes = [f'<path class="grid" d="{"".join(f"M0 {scale.y(t):.0f}H{WIDTH}" for t in scale.ticks)}"/>']
    for layers, left, width in ((stacks, 0.1, 0.46), (beside, 0.62, 0.26)):
        base = np.zeros(len(days))
        for layer in layers:
            upper = base + layer.values
            rects = "".join(
                f"M{(day + left) * slot:.1f} {scale.y(low):.1f}h{width * slot:.1f}V{scale.y(high):.1f}"
                f"h{-width * slot:.1f}Z"
                for day, (low, high) in enumerate(zip(base, upper, strict=True))
                if high > low
            )
            shapes.append(f'<path class="{layer.tone}" d="{rects}"/>')
            base = upper
    return _with_days(_plot(label, "".join(shapes), scale, (), unit), days)


def _with_days(plot: str, days: Sequence[str]) -> str:
    every = math.ceil(len(days) / MOST_DAYS_NAMED)
    words = [
        f'<span class="x" style="left:{(number + 0.5) / len(days):.2%}">{day}</span>'
        for number, day in enumerate(days)
        if number % every == 0
    ]
    return plot.removesuffix("</div>") + "".join(words) + "</div>"


def strip(label: str, picture: Values, tone: str, height_rem: float) -> str:
    """A field of days (rows) by times of day (columns) with values 0 to 1: the fuller the stronger."""
    days, bins = picture.shape
    levels = np.ceil(np.clip(picture, 0.0, 1.0) * LEVELS - 1e-9).astype(int)
    shapes = []
    for level in range(1, LEVELS + 1):
        path = "".join(
            f"M{first} {day}h{last - first}v1h{first - last}z"
            for day in range(days)
            for first, last in _runs(levels[day] == level)
        )
        if path:
            shapes.append(f'<path class="{tone}" opacity="{level / LEVELS:g}" d="{path}"/>')
    return (
        f'<svg class="strip" role="img" aria-label="{escape(label)}" viewBox="0 0 {bins} {days}" '
        f'preserveAspectRatio="none" style="height:{height_rem:g}rem">{"".join(shapes)}</svg>'
    )


def _runs(flags: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and one past the last of each stretch that is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def spark(values: Sequence[float], highest: float, tone: str) -> str:
    """One small column per day, for rows under each other on one scale."""
    slot = WIDTH / max(len(values), 1)
    path = "".join(
        f"M{(day + 0.15) * slot:.1f} {HEIGHT}h{0.7 * slot:.1f}v{-value / highest * HEIGHT:.1f}"
        f"h{-0.7 * slot:.1f}z"
        for day, value in enumerate(values)
        if value > 0
    )
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="{tone}" d="{path}"/></svg>'
    )
