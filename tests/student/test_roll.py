"""The roll comes back as it was written, and what is no roll is refused by its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from student.errors import RecordError
from student.roll import Fate, RollLine, read_roll, roll_bytes

_LINES = st.builds(
    RollLine,
    example=st.text(),
    dataset=st.integers(0, 9),
    teaching=st.integers(0, 99),
    fate=st.sampled_from(Fate),
    times=st.integers(0, 9),
    reason=st.text(),
)


@given(lines=st.lists(_LINES, max_size=8))
def test_a_roll_comes_back(lines: list[RollLine]) -> None:
    """Whatever names and reasons hold, line ends of all kinds included."""
    assert list(read_roll(roll_bytes(lines))) == lines


@pytest.mark.parametrize("bad", [b"{}", b"[]", b"nonsense", b'{"example":"x","fate":"eaten"}'])
def test_what_is_no_line_is_named(bad: bytes) -> None:
    """The message says which line."""
    data = roll_bytes([RollLine(example="x#0", dataset=0, teaching=0, fate=Fate.LEARNED)])
    with pytest.raises(RecordError, match="no line of a roll") as caught:
        read_roll(data + bad + b"\n")
    assert caught.value.where == "examples.jsonl:2"
