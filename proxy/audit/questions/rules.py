"""Questions about rules: what was in force, which grants allowed, what was refused, who overrode."""

from collections.abc import Iterator
from datetime import date, datetime

import yaml

from proxy.audit.answer import NOT_RECORDED, Answer, Cell, counted, document, mention, total
from proxy.audit.evidence import Alike, Evidence, Tally, Word, merge_into
from proxy.ledger.leaf import Leaf

__all__ = ["grants", "overrides", "policies", "refused"]

_DECISIONS = "tables/decisions.parquet"


def policies(evidence: Evidence) -> Answer:
    """Which policies were in force, since when, and who put them there (question 5)."""
    decided: dict[str, Tally] = {}
    for key, tally in evidence.exchanges.items():
        for bundle in {word.bundle for word in (key.request, key.response) if word}:
            merge_into(decided, bundle, tally)
    rows: list[tuple[Cell, ...]] = []
    for leaf in evidence.of("policy"):
        used = decided.get(leaf.text("bundle"))
        rows.append(
            (
                leaf.text("at"),
                leaf.text("actor"),
                document("policies", leaf.text("bundle")),
                tuple(leaf.texts("overrides")) or "none",
                used.count if used else 0,
            )
        )
    return Answer(
        says=f"Policies came into force {counted(len(rows), 'time')}; each entry names who did it.",
        columns=(
            "in force since",
            "put there by",
            "policy bundle",
            "library files replaced",
            "exchanges decided",
        ),
        rows=tuple(rows),
        tables=("tables/policies.parquet", _DECISIONS),
    )


def grants(evidence: Evidence) -> Answer:
    """Which grants allowed what, and whether they had lapsed (question 6)."""
    called: dict[str, Tally] = {}
    for key, tally in evidence.exchanges.items():
        words = [word for word in (key.request, key.response) if word is not None]
        for digest in {digest for word in words for digest in word.grants}:
            merge_into(called, digest, tally)
    built: dict[str, int] = {}
    for learned, tally in evidence.examples.items():
        for digest in learned.grants:
            built[digest] = built.get(digest, 0) + tally.count
    freed: dict[str, list[str]] = {}
    for leaf in evidence.of("release"):
        for digest in leaf.texts("decision", "grants") if leaf.text("action") == "release" else ():
            freed.setdefault(digest, []).append(f"{leaf.text('student')} at {leaf.text('at')}")
    rows: list[tuple[Cell, ...]] = []
    for leaf in evidence.of("grant"):
        digest = leaf.text("digest")
        window = _window(evidence, leaf)
        used = called.get(digest)
        rows.append(
            (
                document("grants", digest, f"{leaf.text('subject')} {leaf.text('name')}"),
                leaf.text("action"),
                leaf.text("at"),
                leaf.text("actor") + (" (self)" if leaf.fields.get("is_self_approved") else ""),
                window,
                used.count if used else 0,
                _lapsed(window, used),
                built.get(digest, 0),
                tuple(freed.get(digest, ())) or "–",
            )
        )
    return Answer(
        says=f"{counted(len(rows), 'step')} in the life of grants and other papers that need two "
        "people.",
        columns=(
            "paper",
            "step",
            "at",
            "by",
            "in force",
            "exchanges it allowed",
            "lapsed at a call",
            "examples it allowed",
            "releases it allowed",
        ),
        rows=tuple(rows),
        tables=("tables/grants.parquet", _DECISIONS),
    )


def refused(evidence: Evidence) -> Answer:
    """What was refused, held back or did not end well, and why (question 7)."""
    groups: dict[tuple[str, str, str, tuple[str, ...], tuple[str, ...], str], Tally] = {}
    for key, tally in evidence.exchanges.items():
        what, word = _stopped(key)
        if what:
            by = word.by if word else ()
            why = _why(word)
            merge_into(groups, (what, key.route, key.project, by, why, key.model), tally)
    rows: list[tuple[Cell, ...]] = [
        (
            what,
            route or NOT_RECORDED,
            project or NOT_RECORDED,
            by or "no rule",
            why or "–",
            tally.count,
            mention(tally.first),
            tally.last.at,
        )
        for (what, route, project, by, why, _), tally in sorted(
            groups.items(), key=lambda pair: -pair[1].count
        )
    ]
    stopped, all_ = total(groups.values()), total(evidence.exchanges.values())
    return Answer(
        says=f"{stopped:,} of {counted(all_, 'exchange')} may not be learned from as they "
        "stand; what people said of them later is the answer to question 8.",
        columns=(
            "what",
            "contract",
            "project",
            "rules",
            "why",
            "exchanges",
            "first",
            "last called at",
        ),
        rows=tuple(rows),
        not_recorded=("calls without a valid key: they are counted in the log of the process",),
        tables=("tables/exchanges.parquet", _DECISIONS),
    )


def overrides(evidence: Evidence) -> Answer:
    """Who overrode what, when, and for what reason (question 8)."""
    rows: list[tuple[Cell, ...]] = []
    for leaf in evidence.of("decision", "judgement", "grant", "policy", "release"):
        rows.extend(_overrides_of(leaf))
    return Answer(
        says=f"{counted(len(rows), 'word')} of people stand against what the rules alone would say.",
        columns=("at", "who", "what", "about", "rules or facts", "reason"),
        rows=tuple(rows),
        tables=(_DECISIONS, "tables/grants.parquet"),
    )


def _overrides_of(leaf: Leaf) -> Iterator[tuple[Cell, ...]]:
    when, who = leaf.text("at"), leaf.text("actor")
    match leaf.kind:
        case "decision":
            rules = tuple(leaf.texts("clears")) or "–"
            what = f"{leaf.text('action')} at {leaf.text('gate')}"
            yield when, who, what, leaf.text("exchange"), rules, leaf.text("reason")
        case "judgement":
            facts = tuple(f"{name}={value}" for name, value in (leaf.record("facts") or {}).items())
            yield when, who, "judgement", leaf.text("exchange"), facts, leaf.text("reason")
        case "grant" if leaf.text("subject") == "override" or leaf.fields["is_self_approved"]:
            what = f"{leaf.text('action')} {leaf.text('subject')}"
            own = "by its own author" if leaf.fields["is_self_approved"] else "–"
            yield when, who, what, leaf.text("name"), own, leaf.text("reason")
        case "release" if leaf.text("action") == "approve":
            rules = tuple(leaf.texts("clears")) or "–"
            yield when, who, "approve at release", leaf.text("run"), rules, leaf.text("reason")
        case "policy":
            for name in leaf.texts("overrides"):
                yield when, who, "library file replaced", name, "–", NOT_RECORDED
        case _:
            return


def _stopped(key: Alike) -> tuple[str, Word | None]:
    """What became of exchanges that may not be learned from, and the word that says so."""
    if key.request is not None and key.request.verdict != "permit":
        kind = "held" if key.request.verdict == "review" else "refused"
        return f"{kind} before the teacher", key.request
    if key.outcome != "complete":
        return key.outcome.replace("_", " "), key.response or key.request
    if key.response is not None and key.response.verdict != "permit":
        kind = "held back" if key.response.verdict == "review" else "excluded"
        return f"answer {kind}", key.response
    return ("answer not judged", None) if key.response is None else ("", None)


def _why(word: Word | None) -> tuple[str, ...]:
    if word is None:
        return ()
    silent = tuple(f"silent: {name}" for name in word.silent)
    return word.clauses + silent + tuple(f"unknown: {name}" for name in word.missing)


def _window(evidence: Evidence, leaf: Leaf) -> str:
    """`FROM – UNTIL` of a paper, as its text says."""
    data = evidence.holding.document("grants", leaf.text("digest"))
    try:
        found = yaml.load(data, yaml.CSafeLoader) if data else None
    except (yaml.YAMLError, ValueError):
        found = None
    window = found.get("in_force") if isinstance(found, dict) else None
    if not isinstance(window, dict):
        return "–" if isinstance(found, dict) else NOT_RECORDED
    return f"{_day(window.get('from'))} – {_day(window.get('until'))}"


def _day(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()[:10]
    return str(value)[:10] if value else "…"


def _lapsed(window: str, used: Tally | None) -> str:
    """Whether a call that rested on a paper was made outside its window."""
    since, dash, until = window.partition(" – ")
    if used is None or not dash:
        return "–"
    is_early = since != "…" and used.first.at[:10] < since
    is_late = until != "…" and used.last.at[:10] >= until
    return "yes" if is_early or is_late else "no"
