"""The page of a run says what its record says, runs nothing, and shows texts as texts."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from student import digest
from student.errors import RecordError
from student.record import Record
from student.report import write_report
from student.roll import Fate, RollLine, roll_bytes
from tests.student.records import HEADER, TEACHING, write_record

_NASTY = '<script>alert("x")</script>'


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]


def _text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def _finished(folder: Path, **values: object) -> Record:
    """A record with curves: two measurements, three steps, one of them taken again."""
    roll = roll_bytes(
        [
            RollLine(example="a#0", dataset=0, teaching=0, fate=Fate.LEARNED, times=1),
            RollLine(example="b#0", dataset=0, teaching=0, fate=Fate.HELD_OUT),
            RollLine(example="c#0", dataset=0, teaching=0, fate=Fate.LEFT_OUT, reason="too-long"),
        ]
    )
    header = replace(HEADER, roll=digest.of_bytes(roll), **values)  # type: ignore[arg-type] # any
    record = Record.start(folder, header, b"\x02" * 32, roll)
    for step, loss, agreed in ((0, 3.0, 100), (2, 2.0, 150)):
        found = {"loss": loss, "tokens": 200, "examples": 1, "agreed": agreed}
        record.add("held-out", step=step, found=found)
    for step, loss in ((1, 2.5), (2, 9.75), (2, 1.5)):
        record.add("step", step=step, loss=loss)
    record.sign()
    return record


def test_the_page_says_what_the_record_says(tmp_path: Path) -> None:
    """Student, run, base, teachers with their papers, counts by reason, figures before and after."""
    record = _finished(tmp_path, counts={"kept": 2, "cut": 1, "left out: too-long": 1})
    path = write_report(tmp_path, record.vkey)
    assert path == tmp_path / "report.html"
    text = _text(path.read_text())
    for said in (
        HEADER.student, HEADER.run, record.head, record.vkey, "verified under the key",
        "3.000 → 2.000 nats per held-out token", "50.0% → 75.0%", "1 examples learned from",
        "acme-large acme Apache-2.0 acme-api/own-use acme-terms 4.1", "notice: Built with Acme 1 1",
        "colours review by acme-api/own-use 2", "too-long 1",
        "the teacher was cut off by a limit", "colours 6 1 " + "aa" * 32,
        "learning_rate 0.5", "torch 1", "2 of 2, not finished",
    ):  # fmt: skip
        assert said in text, said


def test_curves_are_of_the_run(tmp_path: Path) -> None:
    """Loss and agreement are drawn; of a step taken again the last counts; speed where it is known."""
    record = _finished(tmp_path)
    page = write_report(tmp_path, record.vkey).read_text()
    titles = re.findall(r"<title>(Loss|Agreement|Speed)([^<]*)</title>", page)
    loss = "training from 2.5 to 1.5 nats per token; held out from 3 to 2 nats per token"
    assert titles == [
        ("Loss", f" by step: {loss}"),
        ("Agreement", " by step: agreement from 50 to 75 percent"),
    ]
    assert "9.75" not in page
    lines = [{"step": 1, "tokens_per_s": 100.0}, {"step": 2, "tokens_per_s": 200.0}]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    page = write_report(tmp_path, record.vkey).read_text()
    assert "Speed by step: speed from 100 to 200 tokens per second" in page


def test_what_others_wrote_is_escaped(tmp_path: Path) -> None:
    """A name, clause or reason with markup in it is shown as text, wherever it comes from."""
    nasty = replace(
        TEACHING, model=_NASTY, provider=_NASTY, licence=_NASTY, clauses=(_NASTY,), duties=(_NASTY,)
    )
    dataset = replace(HEADER.datasets[0], dataset=_NASTY, left_out={_NASTY: 1})
    base = {"spec": "x", "origin": _NASTY, "licence": _NASTY, "files": {}}
    record = _finished(
        tmp_path, student=_NASTY, teachings=(nasty,), datasets=(dataset,), base=base,
        config={_NASTY: _NASTY},
    )  # fmt: skip
    page = write_report(tmp_path, record.vkey).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 11


def test_the_page_runs_nothing_and_loads_nothing(tmp_path: Path) -> None:
    """No script, no handler, no address elsewhere; its policy lets only its own style sheet pass."""
    record = _finished(tmp_path)
    page = write_report(tmp_path, record.vkey).read_text()
    tags = _Tags()
    tags.feed(page)
    assert not {"script", "img", "iframe", "link", "object", "form"} & set(tags.tags)
    assert not {name for name in tags.attributes if name.startswith("on") or name == "style"}
    assert set(tags.links) == {
        "examples.jsonl", "metrics.jsonl", "record.note", "run.json", "steps.jsonl",
    }  # fmt: skip
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{hashed}'" in page
    assert "url(" not in style


def test_a_run_that_just_began_has_a_page(tmp_path: Path) -> None:
    """Without steps and measurements there are no curves, and the page says so."""
    record = Record.start(tmp_path, HEADER, b"\x02" * 32)
    text = _text(write_report(tmp_path, None).read_text())
    assert "verified under its own key alone" in text
    assert "How it learned None." in text
    assert record.vkey in text


def test_a_damaged_record_has_no_page(tmp_path: Path) -> None:
    """What is not verified is not reported."""
    record = write_record(tmp_path)
    (tmp_path / "model/weights").write_bytes(b"other")
    with pytest.raises(RecordError):
        write_report(tmp_path, record.vkey)
    assert not (tmp_path / "report.html").exists()


def test_the_page_may_lie_elsewhere(tmp_path: Path) -> None:
    """Where it cannot be written is said."""
    record = write_record(tmp_path / "run")
    assert write_report(tmp_path / "run", record.vkey, tmp_path / "page.html").exists()
    with pytest.raises(RecordError, match="report cannot be written") as caught:
        write_report(tmp_path / "run", record.vkey, tmp_path / "absent/page.html")
    assert caught.value.code == "report-unwritten"
