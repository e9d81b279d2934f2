"""The page of figures says what the status says, in lines that a monitoring system reads."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.web.metrics import metrics_text

REPORT: dict[str, Any] = {
    "problems": [],
    "workers": 2,
    "ledger_size": 7,
    "last_checkpoint": {"size": 5},
    "counts": {"calls": 3, "verdict_permit": 2},
    "counted": [
        {"counter": "day", "rule": "house/few", "value": 4, "limit": 9, "left": 6},
        {"counter": "day", "rule": "house/few", "value": 4, "limit": 5, "left": 2},
    ],
}
SAMPLE = re.compile(
    r'inbond_[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\.)*"(,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? \d+'
)


def samples(**changed: Any) -> dict[str, int]:
    """Each sample with its labels, and its value."""
    lines = metrics_text(REPORT | changed).splitlines()
    found = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: int(value) for name, _, value in found}


def test_the_figures_are_those_of_the_status() -> None:
    """Of two limits of one rule the nearer is shown."""
    assert samples() == {
        "inbond_well": 1,
        "inbond_workers": 2,
        "inbond_ledger_entries": 7,
        "inbond_checkpoint_entries": 5,
        'inbond_recorded{name="calls"}': 3,
        'inbond_recorded{name="verdict_permit"}': 2,
        'inbond_counter_value{counter="day",rule="house/few"}': 4,
        'inbond_counter_limit{counter="day",rule="house/few"}': 5,
        'inbond_counter_left{counter="day",rule="house/few"}': 2,
    }


def test_what_is_not_well_is_zero() -> None:
    """An installation with a problem, and one that signed nothing yet."""
    found = samples(problems=["no worker is alive"], last_checkpoint=None)
    assert (found["inbond_well"], found["inbond_checkpoint_entries"]) == (0, 0)


@given(name=st.text(min_size=1, max_size=8))
def test_no_name_breaks_a_line(name: str) -> None:
    """Whatever a label holds, every line is a comment or one sample."""
    counted = [{"counter": name, "rule": name, "value": 1, "limit": 1, "left": 1}]
    text = metrics_text(REPORT | {"counted": counted, "counts": {name: 1}})
    for line in text.removesuffix("\n").split("\n"):
        assert line.startswith("# ") or SAMPLE.fullmatch(line), line
    assert len(re.findall(r"(?m)^# TYPE inbond_[a-z_]+ gauge$", text)) == 8
