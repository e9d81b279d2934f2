"""Speed, memory and time left of a run: told to people, written for programs, drawn if asked."""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from student.errors import ConfigError
from student.evaluate import HeldOut
from student.metrics import Meter, read_metrics
from student.trainer import Progress

_FOUND = HeldOut(loss=2.0, tokens=4, examples=1, agreed=3)


def _progress(step: int, *, steps: int = 100, held_out: HeldOut | None = None) -> Progress:
    return Progress(
        step=step, steps=steps, loss=3.0 / step, rate=1e-4, gradient_norm=0.5, tokens=1000,
        held_out=held_out,
    )  # fmt: skip


def _clock(*times: float) -> Iterator[float]:
    yield from times


def _meter(
    folder: Path, said: list[str], times: Iterator[float], *, is_plotted: bool = False
) -> Meter:
    return Meter(folder=folder, say=said.append, clock=lambda: next(times), is_plotted=is_plotted)


def test_a_step_is_told_with_speed_memory_and_time_left(tmp_path: Path) -> None:
    """1,000 tokens in half a second are 2,000 a second, and 99 more steps take 50 seconds."""
    said: list[str] = []
    reading = _meter(tmp_path, said, _clock(10.0, 10.5)).tell(_progress(1))
    assert reading.tokens_per_s == 2000
    assert reading.left_s == 49.5
    assert reading.memory_bytes > 2**20
    memory = f"{reading.memory_bytes / 2**20:,.0f} MiB"
    told = f"step 1/100  loss 3.0000  rate 1.00e-04  2,000 tokens/s  {memory}  50 s left"
    assert said == [told]


def test_what_was_measured_is_told(tmp_path: Path) -> None:
    """A step after which the student was measured ends with its held-out figures."""
    said: list[str] = []
    _meter(tmp_path, said, _clock(0.0, 1.0)).tell(_progress(1, held_out=_FOUND))
    assert said[0].endswith("left  held out 2.0000 (75.0% agree)")


@pytest.mark.parametrize(
    ("each_s", "left"), [(0.1, "10 s"), (1.0, "1 min 39 s"), (60.0, "1 h 39 min")]
)
def test_the_time_left_is_in_the_unit_that_fits(tmp_path: Path, each_s: float, left: str) -> None:
    """Seconds, minutes, hours."""
    said: list[str] = []
    _meter(tmp_path, said, _clock(0.0, each_s)).tell(_progress(1))
    assert said[0].endswith(f"{left} left")


def test_people_are_told_about_every_two_seconds(tmp_path: Path) -> None:
    """The first step, the last, and those two seconds after the one told before; the file has all."""
    said: list[str] = []
    meter = _meter(tmp_path, said, _clock(*(at * 0.5 for at in range(11))))
    for step in range(1, 11):
        meter.tell(_progress(step, steps=10))
    assert [line.split("/")[0] for line in said] == ["step 1", "step 5", "step 9", "step 10"]
    assert [line["step"] for line in read_metrics(tmp_path)] == list(range(1, 11))


def test_the_speed_is_that_of_the_last_steps(tmp_path: Path) -> None:
    """A slow start is forgotten: what counts is how fast it is now."""
    times = [0.0, 100.0, *(100.0 + step for step in range(1, 30))]
    meter = _meter(tmp_path, [], _clock(*times))
    readings = [meter.tell(_progress(step)) for step in range(1, 31)]
    assert readings[0].tokens_per_s == 10
    assert readings[-1].tokens_per_s == 1000
    assert readings[-1].left_s == 70


def test_of_a_step_taken_again_the_last_line_counts(tmp_path: Path) -> None:
    """After a resume the file goes on, and is read as one run."""
    for times in (_clock(0.0, 1.0, 2.0), _clock(50.0, 51.0)):
        meter = _meter(tmp_path, [], times)
        steps = (1, 2) if not read_metrics(tmp_path) else (2,)
        for step in steps:
            meter.tell(_progress(step))
    assert [(line["step"], line["tokens"]) for line in read_metrics(tmp_path)] == [
        (1, 1000),
        (2, 1000),
    ]


@pytest.mark.parametrize("content", [None, "nonsense\n", "[]\n", "{}\n"])
def test_what_is_no_file_of_metrics_gives_none(tmp_path: Path, content: str | None) -> None:
    """It is no part of the record: without it a report shows no speed, and is whole otherwise."""
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    assert read_metrics(tmp_path) == ()


def test_only_what_is_there_is_written(tmp_path: Path) -> None:
    """A step without a measurement has no held-out figures, rather than empty ones."""
    meter = _meter(tmp_path, [], _clock(0.0, 1.0, 2.0))
    meter.tell(_progress(1))
    meter.tell(_progress(2, held_out=_FOUND))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert "agreement" not in lines[0]
    assert (lines[1]["held_out_loss"], lines[1]["agreement"]) == (2.0, 0.75)


def test_tensorboard_reads_the_curves(tmp_path: Path) -> None:
    """Its own reader finds every figure by step; before the first step nothing is written."""
    meter = _meter(tmp_path / "run", [], _clock(0.0, 1.0, 2.0), is_plotted=True)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    meter.tell(_progress(1))
    meter.tell(_progress(2, held_out=_FOUND))
    meter.close()
    reader = import_module("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    assert [(point.step, point.value) for point in events.Scalars("loss")] == [(1, 3.0), (2, 1.5)]
    assert [(point.step, point.value) for point in events.Scalars("agreement")] == [(2, 0.75)]
    assert {"rate", "gradient_norm", "tokens_per_s", "memory_bytes"} <= set(
        events.Tags()["scalars"]
    )


def test_without_tensorboard_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that asks for what is not installed does not start."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="writer is not installed") as caught:
        _meter(tmp_path, [], _clock(0.0), is_plotted=True)
    assert "--extra tensorboard" in caught.value.help
