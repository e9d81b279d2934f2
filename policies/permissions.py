"""Which grant would make a verdict milder: what each party that speaks here could lift or permit."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from policies.column import passes
from policies.decision import Decision
from policies.engine import Matrix, compile_rules, verdict_of
from policies.model import Condition, Effect, Fact, Gate, Grant, Layer, Rule, Window
from policies.reach import Reaches
from policies.standing import read_both, standing_at
from policies.wording import listed

__all__ = ["Bundle", "Permission", "permissions_of"]

_STRICTNESS = (Effect.PERMIT, Effect.REVIEW, Effect.FORBID)
_GATES_WHERE_PARTIES_SPEAK = frozenset({Gate.RESPONSE, Gate.DATASET})


class Bundle(Protocol):
    """What is read of a policy bundle: what the engine reads."""

    @property
    def matrix(self) -> Matrix:
        """Its rules and grants, compiled."""

    @property
    def digest(self) -> str:
        """sha256 (hex) of its documents."""

    @property
    def meaning(self) -> str:
        """sha256 (hex) of its rules and grants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A grant that a party could give: what it would lift, and whether it would permit the gate."""

    party: str
    lifts: tuple[str, ...]
    permits: Gate | None
    verdict: Effect
    """What it would be."""

    @property
    def text(self) -> str:
        """The grant in words."""
        rules = listed([f"`{rule}`" for rule in self.lifts], "and")
        does = [f"lifts {rules}"] if self.lifts else []
        does += [] if self.permits is None else [f"permits the {self.permits} gate"]
        return f"a grant from {self.party} that {' and '.join(does)}"


def permissions_of(
    bundle: Bundle, decision: Decision, reaches: Reaches, *, cleared: frozenset[str]
) -> tuple[Permission, ...]:
    """For each party the least grant that gives the mildest verdict it can; milder ones first."""
    parties = _parties(bundle.matrix.rules, decision, reaches)
    hits = frozenset(hit.rule for hit in decision.hits)
    held = [rows.grant for rows in bundle.matrix.grants if rows.grant.id in decision.grants]
    # Rules that do not match say nothing, but where the party of a grant speaks its rules say.
    needed = parties | {grant.party for grant in held}
    rules = [r for r in bundle.matrix.rules if r.party in needed or r.id in hits]
    proposed = [each for party in sorted(parties) for each in _proposals(party, rules, decision)]
    if not proposed:
        return ()
    matrix = compile_rules(rules, [*held, *(grant for grant, _ in proposed)])
    rows_of = {rows.grant.id: rows for rows in matrix.grants}
    kept = tuple(rows_of[grant.id] for grant in held)
    then, now = (reach.moment for reach in reaches)
    best: dict[str, Permission] = {}
    for grant, permission in proposed:
        only = replace(matrix, grants=(*kept, rows_of[grant.id]))
        standing = standing_at(only, decision.gate, then.at, now.at)
        verdict = verdict_of(standing, *read_both(standing, then.facts, now.facts), cleared)
        limit = best.get(grant.party, permission).verdict
        if _STRICTNESS.index(verdict) < _STRICTNESS.index(limit):
            best[grant.party] = replace(permission, verdict=verdict)
    return tuple(
        sorted(best.values(), key=lambda each: (_STRICTNESS.index(each.verdict), each.party))
    )


def _proposals(
    party: str, rules: Iterable[Rule], decision: Decision
) -> Iterator[tuple[Grant, Permission]]:
    """What a party could grant, the least first: lift what bars, permit the gate, or both."""
    own = [rule for rule in rules if rule.party == party]
    barring = {
        hit.rule
        for hit in decision.hits
        if hit.effect is not Effect.PERMIT and hit.lifted_by is None and not hit.is_shadow
    }
    lifts = frozenset(rule.id for rule in own if rule.id in barring)
    layers = frozenset(layer for rule in own for layer in rule.layers)
    gates = {decision.gate} & _GATES_WHERE_PARTIES_SPEAK if layers - {Layer.ORGANISATION} else ()
    choices: list[tuple[frozenset[str], Gate | None]] = [(lifts, None)] if lifts else []
    for gate in gates:
        choices += [(frozenset(), gate), *([(lifts, gate)] if lifts else [])]
    for number, (lifted, permits) in enumerate(choices):
        grant = Grant(
            # No id of a file has a line break in it.
            id=f"{party}\n{number}",
            digest="",
            party=party,
            lifts=lifted,
            permits=frozenset() if permits is None else frozenset({permits}),
            layers=layers,
            scope=Condition(),
            in_force=Window(),
            as_of="both",
            owner="",
            because="",
            is_approved=True,
            where=own[0].where,
        )
        yield (
            grant,
            Permission(
                party=party,
                lifts=tuple(sorted(lifted)),
                permits=permits,
                verdict=decision.verdict,
            ),
        )


def _parties(rules: Iterable[Rule], decision: Decision, reaches: Reaches) -> frozenset[str]:
    """The parties one of whose grants could be enough.

    Where rules set the verdict, each of them has to go: that is the party of all of them, or none.
    Where silence or doubt does, a party may permit that speaks about this exchange.
    """
    setting = frozenset(rule.party for rule in rules if rule.id in decision.by)
    if setting:
        return setting if len(setting) == 1 else frozenset()
    found: set[str] = set()
    seen: dict[int, bool] = {}
    for rule in rules:
        # The rules of one policy share its scope: each is read once.
        holds = seen.get(id(rule.scope))
        if holds is None:
            holds = any(_holds(rule.scope, reach.moment.facts) for reach in reaches)
            seen[id(rule.scope)] = holds
        if holds:
            found.add(rule.party)
    return frozenset(found)


def _holds(condition: Condition, facts: Mapping[str, Fact]) -> bool:
    """Whether a condition surely holds."""
    return any(all(passes(test, facts) for test in tests) for tests in condition.alternatives)
