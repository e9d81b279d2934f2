"""The first page of an audit: each of the fifteen questions, its answer, and the way to its rows.

No script, no network: one style sheet, whose hash is all that the page's policy lets pass. What
teachers, clients and the authors of policies wrote is escaped.
"""

import base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files

from proxy.audit.answer import Answer, Cell, Ref, total
from proxy.audit.evidence import Alike, Evidence, Mention
from proxy.audit.picture import picture
from proxy.audit.questions import QUESTIONS, Question
from proxy.audit.trace import trace
from proxy.ledger.canonical import Json

__all__ = ["page"]

_MOST_ROWS = 200
"""Of a table that stand on the page; the files below `tables/` hold all."""

_FILES = (
    ("entries.jsonl", "every entry of this audit, in the order of the log"),
    ("openings.jsonl", "the texts that were disclosed, with what shows that they were sealed"),
    ("tables/exchanges.parquet", "one row for each exchange"),
    ("tables/decisions.parquet", "one row for each decision at a gate, and each later word"),
    ("tables/examples.parquet", "one row for each example of a dataset"),
    ("log/checkpoint", "the signed head of the log"),
    ("export.json", "what was asked for and is here"),
    ("bom/cyclonedx.json", "students, datasets and teachers as a CycloneDX bill of materials"),
    ("bom/spdx3.json", "the same in SPDX 3"),
    ("dataset/croissant.json", "the table of examples described in Croissant"),
    ("dataset/README.md", "the same as a dataset card"),
    ("lineage/prov.json", "the lineage in PROV"),
    ("ro-crate-metadata.json", "this folder as an RO-Crate, attestations and model cards included"),
    ("eu-ai-act-summary.md", "the summary that Article 53(1)(d) of the EU AI Act asks for"),
    ("california-ab-2013.md", "the sheet of California AB 2013"),
    ("data-provenance-sheet.md", "the sheet of the Data & Trust Alliance"),
    ("VERIFY.md", "how to check all this with the tools of others"),
)


def page(evidence: Evidence, about: Mapping[str, Json], log_key: str) -> str:
    """The HTML of the page; `about` is what `export.json` says."""
    answers = [(question, question.answer(evidence)) for question in QUESTIONS]
    style = files("proxy.audit").joinpath("sheet.css").read_text(encoding="utf-8")
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    body = [
        _head(evidence, about, log_key),
        _contents(answers),
        _lineage(evidence),
        *(_section(question, answer) for question, answer in answers),
        _mentioned(evidence, answers),
        _files_of(about),
    ]
    title = f"Audit of {about.get('origin')}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
{chr(10).join(body)}
</main>
</body>
</html>
"""


def _head(evidence: Evidence, about: Mapping[str, Json], log_key: str) -> str:
    query = about.get("query")
    scope = query if isinstance(query, dict) else {}
    facts: list[tuple[str, str]] = [
        ("Log", str(about.get("origin"))),
        ("Key", log_key),
        ("Made", f"{about.get('at')} for {about.get('recipient')}"),
        ("Scope", "; ".join(f"{name}: {value}" for name, value in scope.items())),
        ("Entries", f"{evidence.size:,} of the {about.get('size'):,} in the log"),
        ("Export", str(about.get("subject"))),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    learned = total(evidence.examples.values())
    figures = (
        (total(evidence.exchanges.values()), "exchanges with teachers", "#refused"),
        (learned, "examples in datasets", "#examples"),
        (len({key.student for key in evidence.examples}), "students", "#lineage"),
        (len(evidence.of("decision", "judgement")), "later words of people", "#overrides"),
        (len(evidence.of("erase")), "erasures", "#erased"),
    )
    items = "".join(
        f'<li><a href="{where}"><strong>{count:,}</strong></a><span>{name}</span></li>'
        for count, name, where in figures
    )
    return f"""<header>
<p class="eyebrow">Audit of a ledger of teacher traffic</p>
<h1>What was asked of teachers, what was learned, and under which terms</h1>
<dl class="facts">{rows}</dl>
</header>
<ul class="figures">{items}</ul>
<div class="reading">
<p><b>Nothing on this page is proven by standing here.</b>
<a href="VERIFY.md">VERIFY.md</a> shows how to check it, with the tools of others too.</p>
<p>Under each answer stands what a verifier <b>proves</b> of it, what is <b>claimed by the recorder</b>,
and what is <b>not covered</b>.</p>
</div>"""


def _contents(answers: Sequence[tuple[Question, Answer]]) -> str:
    items = "".join(
        f'<li><a href="#{question.name}">{escape(question.asks)}</a></li>'
        for question, _ in answers
    )
    return f'<nav aria-label="Questions"><p class="eyebrow">Fifteen questions</p><ol>{items}</ol></nav>'


def _lineage(evidence: Evidence) -> str:
    return f"""<section id="lineage">
<p class="number">Lineage</p>
<h2>From terms to students</h2>
<p>From left to right, as an answer passes. A broken line is a way that no example went.</p>
<div class="wide">{picture(trace(evidence))}</div>
</section>"""


def _section(question: Question, answer: Answer) -> str:
    missing = "; ".join(answer.not_recorded) or "nothing further"
    return f"""<section id="{question.name}">
<p class="number">Question {question.number}</p>
<h2>{escape(question.asks)}</h2>
<p>{_prose(answer.says)}</p>
{_table(answer)}
<div class="basis">
<p><b>Proven</b>: {escape(question.proven)}.</p>
<p><b>Claimed by the recorder</b>: {escape(question.claimed)}.</p>
<p><b>Not covered</b>: {_prose(missing)}.</p>
</div>
</section>"""


def _table(answer: Answer) -> str:
    links = ", ".join(f'<a href="{name}">{name}</a>' for name in answer.tables)
    if not answer.rows:
        return '<p class="none">No row.</p>'
    numeric = {at for at, _ in enumerate(answer.columns) if type(answer.rows[0][at]) is int}
    head = "".join(
        f'<th scope="col"{_n(at, numeric)}>{escape(name)}</th>'
        for at, name in enumerate(answer.columns)
    )
    shown = answer.rows[:_MOST_ROWS]
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{_n(at, numeric)}>{_cell(cell)}</td>" for at, cell in enumerate(row))
        + "</tr>"
        for row in shown
    )
    rest = len(answer.rows) - len(shown)
    more = f"<p>And {rest:,} more rows.</p>" if rest else ""
    every = f"<p>Every row: {links}</p>" if links else ""
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'
        f"{more}{every}"
    )


def _n(at: int, numeric: set[int]) -> str:
    return ' class="n"' if at in numeric else ""


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return "–"
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case Ref(text=text, href=href):
            return f'<a class="id" href="{escape(href)}">{escape(text)}</a>'
        case tuple():
            return "<ul>" + "".join(f"<li>{_cell(part)}</li>" for part in cell) + "</ul>"
        case _:
            return escape(cell)


def _prose(text: str) -> str:
    """A sentence whose parts in backticks are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def _mentioned(evidence: Evidence, answers: Sequence[tuple[Question, Answer]]) -> str:
    """The exchanges that answers lead to, each with its place in the log."""
    wanted = {
        cell.href.removeprefix("#entry-")
        for _, answer in answers
        for row in answer.rows[:_MOST_ROWS]
        for cell in row
        if isinstance(cell, Ref) and cell.href.startswith("#entry-")
    }
    found: dict[int, tuple[Mention, Alike]] = {}
    for alike, tally in evidence.exchanges.items():
        for mention in (tally.first, tally.last):
            if str(mention.seq) in wanted:
                found[mention.seq] = mention, alike
    rows = "\n".join(_mentioned_row(*found[seq]) for seq in sorted(found))
    names = (
        "place",
        "exchange",
        "called at",
        "contract",
        "model",
        "project",
        "outcome",
        "verdicts",
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"""<section id="entries">
<p class="number">Appendix</p>
<h2>Exchanges that the answers lead to</h2>
<p>The place is that of the entry in the log: <code>seq</code> in <a href="entries.jsonl">entries.jsonl</a>.</p>
<div class="wide"><table><thead><tr>{head}</tr></thead>
<tbody>{rows}</tbody></table></div>
</section>"""


def _mentioned_row(mention: Mention, alike: Alike) -> str:
    verdicts = " / ".join(word.verdict for word in (alike.request, alike.response) if word)
    cells = (
        str(mention.seq),
        mention.id,
        mention.at,
        alike.route,
        alike.model or "not recorded",
        alike.project or "not recorded",
        alike.outcome,
        verdicts or "–",
    )
    inside = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr id="entry-{mention.seq}">{inside}</tr>'


def _files_of(about: Mapping[str, Json]) -> str:
    items = "".join(
        f'<tr><td><a href="{name}">{name}</a></td><td>{escape(text)}</td></tr>'
        for name, text in _FILES
        if name != "openings.jsonl" or about.get("openings")
    )
    return f"""<section id="files">
<p class="number">Appendix</p>
<h2>Files of this audit</h2>
<div class="wide"><table><tbody>{items}</tbody></table></div>
</section>
<footer><p>Made by inbond. It states what a ledger holds; whether that meets an obligation is for its reader to judge.</p></footer>"""
