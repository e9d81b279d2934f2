"""Rules, grants and sources by hand, with what a test does not care about filled in."""

from policies.model import (
    AsOf,
    Condition,
    Duty,
    Effect,
    Gate,
    Grant,
    Rule,
    Source,
    Test,
    Window,
)
from tests.policies.strategies import HERE, PARTIES, day

P, R, F = Effect.PERMIT, Effect.REVIEW, Effect.FORBID
TRAINING = frozenset({Gate.RESPONSE, Gate.DATASET})


def rule(
    name: str,
    effect: Effect,
    *tests: Test,
    party: str = "Owner",
    gates: frozenset[Gate] = TRAINING,
    sources: tuple[Source, ...] = (),
    duties: tuple[Duty, ...] = (),
    scope: Condition = Condition(),  # noqa: B008 - frozen
    is_shadow: bool = False,
    as_of: AsOf = "both",
    in_force: Window = Window(),  # noqa: B008 - frozen
) -> Rule:
    """A rule whose tests must all hold; by default of a party that is host and model in one."""
    return Rule(
        id=name,
        policy="p",
        party=party,
        layers=PARTIES[party],
        effect=effect,
        gates=gates,
        when=Condition(alternatives=(tests,)),
        because="It says so.",
        sources=sources,
        scope=scope,
        duties=duties,
        is_shadow=is_shadow,
        as_of=as_of,
        in_force=in_force,
        where=HERE,
    )


def grant(
    *lifts: str,
    party: str = "Owner",
    permits: frozenset[Gate] = frozenset(),
    scope: Condition = Condition(),  # noqa: B008 - frozen
    in_force: Window = Window(),  # noqa: B008 - frozen
    as_of: AsOf = "both",
    is_approved: bool = True,
    is_revoked: bool = False,
) -> Grant:
    """An approved grant, by default of the party whose rules `rule` makes."""
    return Grant(
        id="letter",
        digest="0" * 64,
        party=party,
        lifts=frozenset(lifts),
        permits=permits,
        layers=PARTIES[party],
        scope=scope,
        in_force=in_force,
        as_of=as_of,
        owner="legal@example.org",
        because="They agreed.",
        is_approved=is_approved,
        is_revoked=is_revoked,
        where=HERE,
    )


def source(*, start: int | None = None, until: int | None = None, due: int | None = None) -> Source:
    """A source in force over days, to be read again by a day."""
    edges = [None if edge is None else day(edge) for edge in (start, until, due)]
    return Source(
        id="s",
        record="{}",
        digest="0" * 64,
        title="Terms",
        url="https://example.org/terms",
        confidence="read-primary",
        review_by=edges[2],
        in_force=Window(start=edges[0], until=edges[1]),
        where=HERE,
    )


def is_(fact: str, *values: str | bool) -> Test:
    """The fact is one of these."""
    return Test(fact=fact, op="is", values=values, where=HERE)
