"""Curves over the steps of a run, as SVG without script; the page that they stand in styles them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Curve", "draw"]

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 14, 34
_MOST = 600
"""Points of a curve that are drawn: each is the mean of a stretch where there are more."""
_MARKED = 40
"""Points of a curve up to which each one is marked."""
_LINES = 5
"""About so many lines to read values from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a picture: a name, a class to style it, and finite values by step."""

    name: str
    style: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class _Frame:
    first: float
    last: float
    low: float
    high: float

    def x(self, step: float) -> float:
        share = (step - self.first) / (self.last - self.first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def draw(curves: Sequence[Curve], *, label: str, unit: str) -> str:
    """The picture of some curves over one another; empty where there is no point.

    `label` says what the picture shows, for those who do not see it; `unit` is that of the values.
    """
    shown = [_thinned(curve) for curve in curves if curve.points]
    if not shown:
        return ""
    frame = _frame(shown)
    parts = [f'<svg class="curves" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    parts.append(f"<title>{escape(_told(label, curves, unit))}</title>")
    parts += [_level(frame, value) for value in _levels(frame.low, frame.high)]
    parts += [
        f'<text class="step" x="{frame.x(step):.1f}" y="{_HEIGHT - 12}">{step:,}</text>'
        for step in _steps(frame)
    ]
    for curve in shown:
        parts.append(_line(frame, curve))
    return "\n".join([*parts, "</svg>"])


def _thinned(curve: Curve) -> Curve:
    size = math.ceil(len(curve.points) / _MOST)
    if size <= 1:
        return curve
    points = []
    for start in range(0, len(curve.points), size):
        part = curve.points[start : start + size]
        points.append((part[-1][0], sum(value for _, value in part) / len(part)))
    return Curve(name=curve.name, style=curve.style, points=points)


def _frame(curves: Sequence[Curve]) -> _Frame:
    steps = [step for curve in curves for step, _ in curve.points]
    values = [value for curve in curves for _, value in curve.points]
    low, high = min(values), max(values)
    spare = (high - low or abs(high) or 1.0) * 0.05
    first, last = min(steps), max(steps)
    # One step, or one value, still has a place: in the middle.
    wide = 0 if last > first else 1
    return _Frame(first - wide, last + wide, low - spare, high + spare)


def _levels(low: float, high: float) -> list[float]:
    """Round values between two, about `_LINES` of them."""
    rough = (high - low) / _LINES
    power = 10.0 ** math.floor(math.log10(rough))
    pace = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * 0.999)
    return [n * pace for n in range(math.ceil(low / pace), math.floor(high / pace) + 1)]


def _steps(frame: _Frame) -> list[int]:
    pace = max(1, round(_levels(frame.first, frame.last)[1] - _levels(frame.first, frame.last)[0]))
    return list(range(math.ceil(frame.first / pace) * pace, math.floor(frame.last) + 1, pace))


def _level(frame: _Frame, value: float) -> str:
    y = frame.y(value)
    return (
        f'<path class="level" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        f'<text class="value" x="{_LEFT - 8}" y="{y + 3.5:.1f}">{value:.4g}</text>'
    )


def _line(frame: _Frame, curve: Curve) -> str:
    places = [(frame.x(step), frame.y(value)) for step, value in curve.points]
    way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    marks = ""
    if len(places) <= _MARKED:
        marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in places)
    return f'<g class="{escape(curve.style)}"><path d="M{way}"/>{marks}</g>'


def _told(label: str, curves: Sequence[Curve], unit: str) -> str:
    ends = [
        f"{curve.name} from {curve.points[0][1]:.4g} to {curve.points[-1][1]:.4g} {unit}"
        for curve in curves
        if curve.points
    ]
    return f"{label}: {'; '.join(ends)}"
