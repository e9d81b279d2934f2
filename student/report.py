"""The page of a run: its curves, who taught what under which clause, what was left out and why.

All of it comes from the verified record, but for the speed, which `metrics.jsonl` has. No script, no
network: one style sheet, whose hash is all that the page's policy lets pass. What teachers, clients
and the authors of policies wrote is escaped.
"""

import base64
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from student.contents import Contents, contents_of
from student.curve import Curve, draw
from student.errors import RecordError
from student.metrics import METRICS_FILE, read_metrics
from student.record import Verified, verify_record
from student.roll import ROLL_FILE, Fate

__all__ = ["REPORT_FILE", "write_report"]

REPORT_FILE = "report.html"

type Cell = str | int | Sequence[str]

_FILES = (
    ("run.json", "what was fixed when the run started"),
    ("steps.jsonl", "each step and measurement; each line names the sha256 of the one before"),
    ("record.note", "the signed head of those lines"),
    (ROLL_FILE, "every example of the datasets, and what became of it"),
    (METRICS_FILE, "speed and memory; no part of the record"),
)


def write_report(folder: Path, vkey: str | None, out: Path | None = None) -> Path:
    """Write the page of a run directory, whose record is verified first; where it lies.

    Raises:
        RecordError: the record is not what it says, or the page cannot be written.
    """
    verified = verify_record(folder, vkey)
    text = _page(verified, contents_of(verified, folder), read_metrics(folder))
    path = folder / REPORT_FILE if out is None else out
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordError(
            f"the report cannot be written: {(error.strerror or 'unknown').lower()}",
            help="name another file with `--out`",
            where=str(path),
            code="report-unwritten",
        ) from error
    return path


def _page(verified: Verified, found: Contents, metrics: Sequence[Mapping[str, float]]) -> str:
    style = files("student").joinpath("report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    body = [
        _head(found),
        _figures(found),
        _curves(verified, metrics),
        _taught(found),
        _left_out(found),
        _datasets(found),
        _made_with(verified),
        _files_of(),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>{escape(f"Run {found.run} of {found.student}")}</title>
<style>{style}</style>
</head>
<body>
<main>
{chr(10).join(body)}
</main>
</body>
</html>
"""


def _head(found: Contents) -> str:
    end = "finished" if found.is_finished else "not finished"
    signed = "under the key that was given" if found.is_pinned else "under its own key alone"
    facts = (
        ("Run", found.run),
        ("Started", found.started_at),
        ("Steps", f"{found.steps:,} of {found.planned:,}, {end}, resumed {found.resumes} times"),
        ("Base", f"{found.base}, licence {found.base_licence or 'not stated'}"),
        ("Record", f"{found.record}, verified {signed}"),
        ("Key", found.vkey),
    )
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"""<header>
<p class="eyebrow">Report of a training run</p>
<h1>{escape(found.student)}</h1>
<dl>{rows}</dl>
</header>"""


def _figures(found: Contents) -> str:
    learned = found.fates.get(Fate.LEARNED, 0)
    figures = [(f"{learned:,}", "examples learned from")]
    measured = [each for each in found.held_out if each is not None]
    if measured:
        before, after = measured[0], measured[-1]
        figures += [
            (f"{before['loss']:.3f} → {after['loss']:.3f}", "nats per held-out token"),
            (
                f"{before['agreed'] / before['tokens']:.1%} → {after['agreed'] / after['tokens']:.1%}",
                "of held-out tokens are its first choice",
            ),
            (f"{after['examples']:,}", "examples held out"),
        ]
    items = "".join(
        f"<li><strong>{value}</strong><span>{name}</span></li>" for value, name in figures
    )
    return f'<ul class="figures">{items}</ul>'


def _curves(verified: Verified, metrics: Sequence[Mapping[str, float]]) -> str:
    steps = _by_step(verified, "step")
    held_out = {
        step: line["found"]
        for step, line in _by_step(verified, "held-out").items()
        if line["found"]
    }
    loss = _curve("training", "training", {step: line["loss"] for step, line in steps.items()})
    away = _curve("held out", "held-out", {step: each["loss"] for step, each in held_out.items()})
    agreed = {step: 100 * each["agreed"] / each["tokens"] for step, each in held_out.items()}
    agreement = _curve("agreement", "held-out", agreed)
    apart = {step: each["kl"] for step, each in held_out.items() if each.get("kl") is not None}
    kl = _curve("KL", "held-out", apart)
    speed = _curve(
        "speed",
        "speed",
        {int(line["step"]): line.get("tokens_per_s", math.nan) for line in metrics},
    )
    key = (
        '<span class="key">each step’s batch</span>'
        '<span class="key held-out">held-out answers</span>'
    )
    pictures = (
        (
            draw([loss, away], label="Loss by step", unit="nats per token"),
            f"Loss in nats per target token. {key}",
        ),
        (
            draw([agreement], label="Agreement by step", unit="percent"),
            "Agreement: percent of the teacher’s held-out tokens that are the student’s first choice.",
        ),
        (
            draw([kl], label="KL by step", unit="nats per token"),
            "KL(teacher ‖ student) in nats, where the teacher told its likeliest tokens.",
        ),
        (
            draw([speed], label="Speed by step", unit="tokens per second"),
            "Speed in tokens per second, prompts included; measured, no part of the record.",
        ),
    )
    figures = [
        f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
        for picture, caption in pictures
        if picture
    ]
    return _section("Curves", "How it learned", "\n".join(figures) or _NONE)


def _taught(found: Contents) -> str:
    learned = Counter(line.teaching for line in found.roll if line.fate is Fate.LEARNED)
    away = Counter(line.teaching for line in found.roll if line.fate is Fate.HELD_OUT)
    rows: list[Sequence[Cell]] = [
        (
            str(each["model"]),
            str(each["provider"]),
            str(each["licence"]),
            each["clauses"],
            each["grants"],
            each["duties"],
            learned[place],
            away[place],
        )
        for place, each in enumerate(found.teachings)
    ]
    names = ("teacher", "provider", "licence", "clauses", "grants", "duties", "learned", "held out")
    return _section(
        "Data",
        "Who taught it, under which clause",
        f"{_table(names, rows)}<p>Each example behind a row: "
        f"<code>inbond student show {escape(found.run)} --teacher N</code>, N counted from the top, "
        f'or <a href="{ROLL_FILE}">{ROLL_FILE}</a>.</p>',
    )


def _left_out(found: Contents) -> str:
    gate: list[Sequence[Cell]] = [
        (str(each["dataset"]), reason, count)
        for each in found.datasets
        for reason, count in each["left_out"].items()
    ]
    here = Counter(line.reason for line in found.roll if line.fate is Fate.LEFT_OUT)
    trainer: list[Sequence[Cell]] = [(reason, count) for reason, count in here.most_common()]
    others = {name: count for name, count in found.counts.items() if name in {"cut", "truncated"}}
    changed: list[Sequence[Cell]] = [
        (_CHANGES[name], count) for name, count in sorted(others.items())
    ]
    return _section(
        "Data",
        "What was left out, and why",
        "<p>By the dataset’s gate, in exchanges:</p>"
        + _table(("dataset", "why", "exchanges"), gate)
        + "<p>By the trainer, in examples:</p>"
        + _table(("why", "examples"), trainer)
        + (
            "<p>Learned from in part:</p>" + _table(("how", "examples"), changed) if changed else ""
        ),
    )


_CHANGES = {
    "cut": "the teacher was cut off by a limit: where to stop is not learned",
    "truncated": "the oldest turns of the prompt were left out",
}
_NONE = '<p class="none">None.</p>'


def _datasets(found: Contents) -> str:
    rows: list[Sequence[Cell]] = [
        (
            str(each["dataset"]),
            each["examples"],
            f"{each['weight']:g}",
            str(each["root"]),
            str(each["policy_bundle"]),
            each["terms"],
            str(each["valid_until"]),
        )
        for each in found.datasets
    ]
    names = ("dataset", "examples", "weight", "root", "policy bundle", "terms", "valid until")
    return _section("Data", "Datasets, each proven before the first step", _table(names, rows))


def _made_with(verified: Verified) -> str:
    header = verified.header
    values = [
        (name, value) for part in ("config", "versions") for name, value in header[part].items()
    ]
    rows: list[Sequence[Cell]] = [(name, str(value)) for name, value in values]
    return _section("Making", "Knobs and versions", _table(("name", "value"), rows))


def _files_of() -> str:
    rows = "".join(
        f'<tr><td><a href="{name}">{name}</a></td><td>{text}</td></tr>' for name, text in _FILES
    )
    return (
        _section("Appendix", "Files of this run", f'<div class="wide"><table>{rows}</table></div>')
        + "<footer><p>Made by inbond. It states what a run recorded; whether that meets an "
        "obligation is for its reader to judge.</p></footer>"
    )


def _by_step(verified: Verified, kind: str) -> dict[int, Mapping[str, Any]]:
    """The lines of a kind by their step: of one taken again after a resume, the last."""
    return {int(line.values["step"]): line.values for line in verified.lines if line.kind == kind}


def _curve(name: str, style: str, points: Mapping[int, float]) -> Curve:
    finite = [(step, value) for step, value in sorted(points.items()) if math.isfinite(value)]
    return Curve(name=name, style=style, points=finite)


def _section(eyebrow: str, title: str, inner: str) -> str:
    return f'<section><p class="number">{eyebrow}</p>\n<h2>{title}</h2>\n{inner}\n</section>'


def _table(names: Iterable[str], rows: Sequence[Sequence[Cell]]) -> str:
    if not rows:
        return _NONE
    numeric = {at for at, cell in enumerate(rows[0]) if isinstance(cell, int)}
    head = "".join(f'<th scope="col"{_n(at, numeric)}>{name}</th>' for at, name in enumerate(names))
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{_n(at, numeric)}>{_cell(cell)}</td>" for at, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _n(at: int, numeric: set[int]) -> str:
    return ' class="n"' if at in numeric else ""


def _cell(cell: Cell) -> str:
    match cell:
        case int():
            return f"{cell:,}"
        case str():
            return escape(cell)
        case _:
            items = "".join(f"<li>{escape(each)}</li>" for each in cell)
            return f"<ul>{items}</ul>" if items else "–"
