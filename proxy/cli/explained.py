"""An explanation as people and programs read it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from policies.counters import Nearness
from policies.decision import Decision
from policies.explain import Cited, Explanation, Failed, Reason, Tested
from policies.model import Effect, Fact
from policies.wording import listed, value_text
from proxy.clock import stamp
from proxy.retrace import Retraced

__all__ = ["explained_json", "explained_text", "near_json", "near_text", "retraced_text"]

_READ = {
    "read-primary": "read first-hand",
    "read-secondary": "read second-hand",
    "memory-unverified": "not verified",
}
_MOST_ELSEWHERE = 3
"""So many permits of other hosts and models are named: the rest are counted."""
_SHOWN_WORDS = 12
"""So many values of one change are named."""


def explained_text(found: Explanation) -> Iterator[str]:
    """The lines of an explanation, without line ends."""
    decision = found.decision
    yield f"{decision.gate} gate: {decision.action} ({decision.verdict})"
    yield f"  as of {_instants(decision)}, policy bundle {decision.bundle[:12]}"
    for part in (_why(found), _why_not(found), _open(decision), _would_change(found)):
        yield from map(_printable, part)


def retraced_text(found: Retraced) -> Iterator[str]:
    """The lines that say what is on record and what would be decided today."""
    recorded, today = found.recorded, found.today
    if recorded is None:
        yield "on record: dataset verdicts stand in the manifest of each dataset"
    elif found.is_as_recorded:
        yield f"on record: {recorded.verdict}, as decided here again"
    else:
        yield f"on record: {recorded.verdict} by {_rules(recorded.by)}; decided again it differs"
    if found.is_same_today:
        yield f"today: the policies in force decide the same: {today.verdict}"
        return
    silent = f"; silent: {', '.join(today.silent)}" if today.silent else ""
    yield f"today: the policies in force say {today.verdict} by {_rules(today.by)}{silent}"


def near_text(near: Iterable[Nearness]) -> Iterator[str]:
    """The lines that say how far counters have counted."""
    for each in near:
        left = f"{each.left:,} more turn it" if each.left else "turned"
        yield (
            f"  counted: counter.{each.counter} = {each.value:,}, and `{each.rule}` tests "
            f"{each.limit:,} ({left})"
        )


def near_json(near: Iterable[Nearness]) -> list[dict[str, object]]:
    """The same as JSON objects, the nearest first."""
    return [
        {
            "counter": each.counter,
            "rule": each.rule,
            "value": each.value,
            "limit": each.limit,
            "left": each.left,
        }
        for each in near
    ]


def _instants(decision: Decision) -> str:
    then, now = stamp(decision.exchange_at), stamp(decision.today_at)
    return then if then == now else f"{then} (exchange) and {now} (today)"


def _rules(names: Iterable[str]) -> str:
    return listed([f"`{name}`" for name in names], "and") or "no rule"


def _why(found: Explanation) -> Iterator[str]:
    for reason in found.why:
        hit = reason.hit
        marks = [] if hit.is_sure else ["possibly"]
        marks += ["shadow: recorded, not counted"] if hit.is_shadow else []
        marks += [f"lifted by {hit.lifted_by}"] if hit.lifted_by is not None else []
        marks += ["sets the verdict"] if reason.sets_verdict else []
        note = f"  ({'; '.join(marks)})" if marks else ""
        yield f"  {hit.effect:<7} {hit.rule}  {hit.where}{note}"
        yield f"          {hit.because}"
        yield from (f"          {_tested(test)}" for test in reason.tests)
        yield from (f"          cite {_cited(each)}" for each in reason.cites)
        if reason.sets_verdict and hit.fix:
            yield f"          fix: {hit.fix}"


def _tested(test: Tested) -> str:
    values = value_text(test.exchange)
    if test.today != test.exchange:
        values += f" (today {value_text(test.today)})"
    return f"{test.fact} = {values}: {test.test}"


def _cited(cited: Cited) -> str:
    parts = [f"{cited.cite.source} {cited.cite.clause}: {cited.title}"]
    parts += [f"in force since {_day(cited.start)}"] if cited.start is not None else []
    read = f" {cited.read}" if cited.read else ""
    parts.append(f"{_READ.get(cited.confidence, cited.confidence)}{read}")
    parts += [f"review by {_day(cited.review_by)}"] if cited.review_by is not None else []
    return ", ".join(parts)


def _day(at: datetime) -> str:
    return at.date().isoformat()


def _why_not(found: Explanation) -> Iterator[str]:
    here = [failed for failed in found.why_not if failed.in_scope]
    elsewhere = [failed for failed in found.why_not if not failed.in_scope]
    for failed in [*here, *elsewhere[:_MOST_ELSEWHERE]]:
        yield f"  not     {failed.rule}  {failed.where}{_clocks(failed)}"
        yield from (f"          {_tested(test)}" for test in failed.tests)
    left = len(elsewhere) - _MOST_ELSEWHERE
    if left > 0:
        yield f"  not     {left} more permits, of other hosts and models, that fail on one fact only"


def _clocks(failed: Failed) -> str:
    on = f" on the clock of {failed.clocks[0]}" if len(failed.clocks) == 1 else ""
    return f"  (fails on one fact only{on})" if failed.is_near else f"  (fails{on})"


def _open(decision: Decision) -> Iterator[str]:
    if decision.silent:
        yield f"  silent: {', '.join(decision.silent)}"
    for missing in decision.missing:
        yield f"  missing: {missing.fact}, from {missing.supplied_by}"
    if decision.grants:
        yield f"  grants: {', '.join(decision.grants)}"
    for duty in decision.duties:
        yield f"  duty: {duty.kind}: {duty.value}"


def _would_change(found: Explanation) -> Iterator[str]:
    if found.decision.verdict is Effect.PERMIT:
        return
    lines = [(change.verdict, _short(change.text)) for change in found.changes]
    lines += [(permission.verdict, permission.text) for permission in found.permissions]
    if found.clearance is not None:
        lines.append((found.clearance.verdict, found.clearance.text))
    if not lines:
        yield "  no single fact, grant or clearance would change it"
        return
    yield "  would change it (what it turns on, no advice: what is declared has to be true):"
    for verdict, text in sorted(lines, key=lambda line: line[0] is not Effect.PERMIT):
        yield f"    to {verdict}: {text}"


def _short(text: str) -> str:
    """A list of many values, cut."""
    parts = text.split(", ")
    if len(parts) <= _SHOWN_WORDS:
        return text
    return f"{', '.join(parts[:_SHOWN_WORDS])} and {len(parts) - _SHOWN_WORDS + 1} more"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)


def explained_json(found: Explanation) -> dict[str, object]:
    """An explanation as one JSON object."""
    decision = found.decision
    return {
        "gate": decision.gate.value,
        "verdict": decision.verdict.value,
        "action": decision.action.value,
        "bundle": decision.bundle,
        "meaning": decision.meaning,
        "exchange_at": stamp(decision.exchange_at),
        "today_at": stamp(decision.today_at),
        "by": list(decision.by),
        "silent": [layer.value for layer in decision.silent],
        "missing": [
            {"fact": each.fact, "supplied_by": each.supplied_by} for each in decision.missing
        ],
        "grants": list(decision.grants),
        "duties": [{"kind": duty.kind, "value": duty.value} for duty in decision.duties],
        "facts": _facts(found.exchange.facts),
        "facts_today": _facts(found.today.facts),
        "why": [_reason(reason) for reason in found.why],
        "why_not": [_failed(failed) for failed in found.why_not],
        "would_change": [
            *(
                {
                    "fact": change.fact,
                    "standing": change.standing,
                    "verdict": change.verdict.value,
                    "text": change.text,
                    "grants": list(change.grants),
                }
                for change in found.changes
            ),
            *(
                {
                    "grant_from": each.party,
                    "lifts": list(each.lifts),
                    "permits": None if each.permits is None else each.permits.value,
                    "verdict": each.verdict.value,
                    "text": each.text,
                }
                for each in found.permissions
            ),
            *(
                {"clears": list(each.rules), "verdict": each.verdict.value, "text": each.text}
                for each in ([] if found.clearance is None else [found.clearance])
            ),
        ],
    }


def _facts(facts: Mapping[str, Fact]) -> dict[str, object]:
    return {name: _value(value) for name, value in sorted(facts.items())}


def _value(value: Fact | None) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def _reason(reason: Reason) -> dict[str, object]:
    hit = reason.hit
    return {
        "rule": hit.rule,
        "effect": hit.effect.value,
        "sets_verdict": reason.sets_verdict,
        "is_sure": hit.is_sure,
        "is_shadow": hit.is_shadow,
        "lifted_by": hit.lifted_by,
        "because": hit.because,
        "fix": hit.fix,
        "where": str(hit.where),
        "tests": [_test(test) for test in reason.tests],
        "cites": [_citation(cited) for cited in reason.cites],
    }


def _test(test: Tested) -> dict[str, object]:
    return {
        "fact": test.fact,
        "test": test.test,
        "exchange": _value(test.exchange),
        "today": _value(test.today),
    }


def _citation(cited: Cited) -> dict[str, object]:
    return {
        "source": cited.cite.source,
        "clause": cited.cite.clause,
        "digest": cited.cite.digest,
        "title": cited.title,
        "url": cited.url,
        "confidence": cited.confidence,
        "read": cited.read or None,
        "in_force_from": None if cited.start is None else stamp(cited.start),
        "review_by": None if cited.review_by is None else stamp(cited.review_by),
    }


def _failed(failed: Failed) -> dict[str, object]:
    return {
        "rule": failed.rule,
        "is_near": failed.is_near,
        "in_scope": failed.in_scope,
        "clocks": list(failed.clocks),
        "where": str(failed.where),
        "tests": [_test(test) for test in failed.tests],
    }
