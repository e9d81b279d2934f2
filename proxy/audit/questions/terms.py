"""Questions about terms: what changed, and what they said when a call was made."""

import json
from collections import defaultdict

from proxy.audit.answer import (
    NOT_RECORDED,
    Answer,
    Cell,
    Ref,
    counted,
    document,
    mention,
    sources_of,
)
from proxy.audit.evidence import Alike, Evidence, Tally, merge_into

__all__ = ["changed_terms", "terms_at"]


def changed_terms(evidence: Evidence) -> Answer:
    """What rests on each text of terms, and which texts were followed by another (question 3)."""
    exchanges = _resting(evidence)
    learned: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for key, tally in evidence.examples.items():
        for digest in key.terms:
            learned[digest].append((key.dataset, key.student, tally.count))
    followed = _followed(evidence)
    rows: list[tuple[Cell, ...]] = []
    for leaf in evidence.of("terms"):
        digest = leaf.text("digest")
        if digest not in exchanges and digest not in learned:
            continue
        used = exchanges.get(digest)
        rests = learned[digest]
        rows.append(
            (
                document("terms", digest, leaf.text("source")),
                leaf.text("policy"),
                _window(evidence, digest),
                followed.get(digest, "no"),
                used.count if used else 0,
                sum(count for _, _, count in rests),
                tuple(sorted({dataset for dataset, _, _ in rests})),
                tuple(sorted({student for _, student, _ in rests})),
            )
        )
    changed = sum(1 for row in rows if row[3] != "no")
    return Answer(
        says=f"{counted(len(rows), 'text')} of terms carry exchanges or examples; "
        f"{changed} of them were recorded anew later.",
        columns=(
            "source",
            "policy file",
            "in force",
            "recorded anew",
            "exchanges",
            "examples",
            "datasets",
            "students",
        ),
        rows=tuple(rows),
        not_recorded=(
            "what today's policies would refuse: `inbond policy diff` decides again on the ledger",
            "terms that changed and that nobody recorded",
        ),
        tables=("tables/terms.parquet", "tables/decisions.parquet"),
    )


def terms_at(evidence: Evidence) -> Answer:
    """What the terms of each contract said when it was called (question 4)."""
    groups: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], Tally] = {}
    for key, tally in evidence.exchanges.items():
        for word, gate in ((key.request, "request"), (key.response, "response")):
            if word is not None:
                merge_into(groups, (key.route, gate, word.clauses, word.terms), tally)
    rows: list[tuple[Cell, ...]] = [
        (
            route,
            gate,
            clauses or "no clause: nothing spoke",
            tuple(document("terms", digest, _title(evidence, digest)) for digest in terms),
            tally.count,
            mention(tally.first),
            f"{tally.first.at} – {tally.last.at}",
        )
        for (route, gate, clauses, terms), tally in sorted(groups.items())
    ]
    return Answer(
        says="Each call was decided by the clauses named here, in the texts linked beside them.",
        columns=("contract", "gate", "clauses", "texts", "exchanges", "first", "called"),
        rows=tuple(rows),
        not_recorded=(
            "the whole text of terms, where only its title, place and dates were recorded",
        ),
        tables=("tables/decisions.parquet",),
    )


def _resting(evidence: Evidence) -> dict[str, Tally]:
    """How many exchanges rest on each text of terms; each counts once for a text."""
    found: dict[str, Tally] = {}
    for key, tally in evidence.exchanges.items():
        for digest in _terms_of(key):
            merge_into(found, digest, tally)
    return found


def _terms_of(key: Alike) -> set[str]:
    words = [word for word in (key.request, key.response) if word is not None]
    return {digest for word in words for digest in word.terms}


def _followed(evidence: Evidence) -> dict[str, str | Ref]:
    """The later recording of the same source, of each text that has one."""
    last: dict[tuple[str, str], str] = {}
    found: dict[str, str | Ref] = {}
    for leaf in evidence.of("terms"):
        name = leaf.text("policy"), leaf.text("source")
        if name in last:
            found[last[name]] = document("terms", leaf.text("digest"), leaf.text("at")[:10])
        last[name] = leaf.text("digest")
    return found


def _record(evidence: Evidence, digest: str) -> dict[str, object]:
    data = evidence.holding.document("terms", digest)
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def _title(evidence: Evidence, digest: str) -> str:
    title = _record(evidence, digest).get("title")
    return str(title) if title else sources_of(evidence).get(digest, digest[:12])


def _window(evidence: Evidence, digest: str) -> str:
    """`FROM – UNTIL` of a text, as days."""
    window = _record(evidence, digest).get("in_force")
    if not isinstance(window, dict):
        return NOT_RECORDED
    since, until = str(window.get("from") or "")[:10], str(window.get("until") or "")[:10]
    return f"{since or '…'} – {until or 'further notice'}"
