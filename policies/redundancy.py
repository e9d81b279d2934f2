"""Rules that change nothing, because another rule of the same party says as much or more.

Only one party's rules are compared: two parties that say the same are two who must be asked. A rule
that a grant lifts covers no other, for what it covered shows again under the grant. Of two rules
with one effect the inner one is idle only if it cites nothing of its own: another clause is another
ground, shown to whoever is refused, and stays when the first falls.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from policies.containment import Containers, lies_in
from policies.model import Effect, Grant, Rule, Window
from policies.overlap import can_hold

__all__ = ["Covered", "covered_rules", "is_ever_in_force"]

_STRICTNESS = (Effect.PERMIT, Effect.REVIEW, Effect.FORBID)
_FEW = 10
"""Up to so many rules of a party are compared all with all, which is faster than finding out whom to."""
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """A rule, and one that matches, at least as strictly, wherever and whenever it does."""

    rule: Rule
    by: Rule


def covered_rules(rules: Iterable[Rule], grants: Iterable[Grant]) -> Iterator[Covered]:
    """Each rule that another covers, once; of two that cover each other the later one."""
    lifted = {name for grant in grants for name in grant.lifts}
    for group in _by_party(rules).values():
        outer = [rule for rule in group if rule.id not in lifted]
        containers = Containers((rule, rule.when) for rule in outer if len(outer) > _FEW)
        for rule in group:
            tried = containers.of(rule.when) if len(outer) > _FEW else outer
            found = [each for each in tried if _covers(each, rule)]
            if found:
                yield Covered(rule=rule, by=min(found, key=_rank))


def is_ever_in_force(rule: Rule) -> bool:
    """Whether there is an instant at which the rule stands."""
    return any(_stands(rule, at) for at in _edges(rule))


def _by_party(rules: Iterable[Rule]) -> Mapping[str, list[Rule]]:
    """Rules that count and can match, by the party that imposes them."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        if not rule.is_shadow and any(map(can_hold, rule.when.alternatives)):
            found.setdefault(rule.party, []).append(rule)
    return found


def _rank(rule: Rule) -> tuple[int, str, int]:
    """The strictest first, then in the order of the files."""
    return -_STRICTNESS.index(rule.effect), rule.where.file, rule.where.line


def _covers(outer: Rule, inner: Rule) -> bool:
    return (
        outer is not inner
        and inner.gates <= outer.gates
        and _is_read_as_often(outer, inner)
        and _says_as_much(outer, inner)
        and lies_in(inner.when, outer.when)
        and _stands_as_long(outer, inner)
        and not (_rank(inner) < _rank(outer) and _is_covered_back(outer, inner))
    )


def _is_read_as_often(outer: Rule, inner: Rule) -> bool:
    """Whether the outer rule counts on every clock that the inner one counts on.

    Where one clock alone reads a permit or a review, the other asks for less.
    """
    is_wider = outer.effect is Effect.FORBID and outer.as_of == "both"
    return is_wider or outer.as_of == inner.as_of


def _is_covered_back(outer: Rule, inner: Rule) -> bool:
    """Whether the inner rule covers the outer one too: one rule, written twice."""
    return (
        outer.effect is inner.effect
        and outer.gates == inner.gates
        and outer.as_of == inner.as_of
        and _says_as_much(inner, outer)
        and lies_in(outer.when, inner.when)
        and _stands_as_long(inner, outer)
    )


def _says_as_much(outer: Rule, inner: Rule) -> bool:
    """Whether the outer rule is stricter, or says all that the inner one does."""
    if outer.effect is not inner.effect:
        is_stricter = _STRICTNESS.index(outer.effect) > _STRICTNESS.index(inner.effect)
        return is_stricter and (outer.effect is Effect.FORBID or inner.layers <= outer.layers)
    grounds = {(cite.digest, cite.clause) for cite in outer.cites}
    return (
        inner.layers <= outer.layers
        and all((cite.digest, cite.clause) in grounds for cite in inner.cites)
        and set(inner.duties) <= set(outer.duties)
        and (inner.effect is not Effect.PERMIT or _reviews(inner) == _reviews(outer))
    )


def _reviews(rule: Rule) -> set[tuple[Window, datetime | None]]:
    """What says when a permit falls due for review."""
    return {(source.in_force, source.review_by) for source in rule.sources}


def _stands_as_long(outer: Rule, inner: Rule) -> bool:
    """Whether the outer rule stands whenever the inner one does."""
    edges = {*_edges(inner), *_edges(outer)}
    return all(_stands(outer, at) for at in edges if _stands(inner, at))


def _stands(rule: Rule, at: datetime) -> bool:
    in_force = (source.in_force.holds(at) for source in rule.sources)
    return rule.in_force.holds(at) and (not rule.sources or any(in_force))


def _edges(rule: Rule) -> Iterator[datetime]:
    """The first instant of each stretch of time in which all of a rule's windows are constant."""
    yield _BEFORE_ALL
    for window in (rule.in_force, *(source.in_force for source in rule.sources)):
        yield from (edge for edge in (window.start, window.until) if edge is not None)
