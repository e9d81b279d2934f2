"""Pictures of curves: every point inside the frame, few enough to draw, told to who cannot see."""

import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from student.curve import Curve, draw

_POINTS = st.dictionaries(
    st.integers(0, 10**6),
    st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-9),
    min_size=1,
    max_size=30,
)


def _draw(*points: dict[int, float], name: str = "loss", label: str = "Loss") -> str:
    curves = [Curve(name=name, style="loss", points=sorted(each.items())) for each in points]
    return draw(curves, label=label, unit="nats")


@given(first=_POINTS, second=_POINTS)
def test_every_point_is_inside_the_frame(first: dict[int, float], second: dict[int, float]) -> None:
    """Whatever the values, the picture is well-formed XML and nothing lies outside of it."""
    text = _draw(first, second)
    root = ET.fromstring(text)  # noqa: S314 - our own text
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    circles = [node for node in root.iter() if node.tag == "circle"]
    assert len(circles) == len(first) + len(second)
    for circle in circles:
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert 0 <= float(circle.attrib["cy"]) <= height
    assert "nan" not in text
    levels = [float(each) for each in re.findall(r'class="value"[^>]*>([^<]+)<', text)]
    assert 2 <= len(levels) <= 12


def test_higher_values_stand_higher() -> None:
    """The y axis points up, and later steps stand further right."""
    root = ET.fromstring(_draw({1: 3.0, 2: 1.0}))  # noqa: S314 - our own text
    first, second = (node.attrib for node in root.iter("circle"))
    assert float(first["cy"]) < float(second["cy"])
    assert float(first["cx"]) < float(second["cx"])


def test_a_long_run_is_drawn_by_the_means_of_stretches() -> None:
    """A hundred thousand steps give a picture of bounded size that shows the same curve."""
    text = _draw({step: math.sin(step / 9000) for step in range(100_000)})
    assert len(text) < 20_000
    assert "circle" not in text


def test_nothing_measured_is_no_picture() -> None:
    """Without a point there is nothing to draw."""
    assert _draw({}) == ""


@pytest.mark.parametrize("points", [{5: 2.0}, {5: 0.0}, {1: 2.0, 9: 2.0}])
def test_what_does_not_change_is_still_drawn(points: dict[int, float]) -> None:
    """One step, or one value throughout, has its place in the middle."""
    assert _draw(points).count("<circle") == len(points)


def test_who_cannot_see_it_is_told() -> None:
    """The title says what the curves begin and end with; names are escaped."""
    text = _draw({1: 3.0, 2: 1.5}, name="<loss>", label="Loss & step")
    title = ET.fromstring(text)[0].text  # noqa: S314 - our own text
    assert title == "Loss & step: <loss> from 3 to 1.5 nats"
    assert "<loss>" not in text
