"""What loads and is still wrong: findings beyond the shapes and links of the files."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from policies.bundle import Bundle
from policies.clashes import Clash, name_clashes
from policies.diagnostics import Diagnostic, quoted
from policies.excerpts import Excerpts
from policies.model import Case, Effect, Gate, Grant, Layer, Rule
from policies.overlap import can_hold, meet
from policies.redundancy import Covered, covered_rules, is_ever_in_force

__all__ = ["ending", "lint"]

_SOON = timedelta(days=30)
_LONG_AGO = timedelta(days=180)
_NONE: Mapping[str, int] = MappingProxyType({})
_ORGANISATION = frozenset({Layer.ORGANISATION})
_WHERE_SILENCE_FORBIDS = frozenset({Gate.RESPONSE, Gate.DATASET})
_VERBS = {
    Effect.PERMIT: "permits the same",
    Effect.REVIEW: "asks for review",
    Effect.FORBID: "forbids",
}


def lint(
    bundle: Bundle,
    *,
    on: datetime,
    untested: Iterable[str] = (),
    idle: Iterable[Case] = (),
    resting: Mapping[str, int] = _NONE,
) -> tuple[Diagnostic, ...]:
    """What a person should look at, as of an instant, in the order of the files.

    `untested` are ids of rules that no test case reaches, `idle` the cases that silence answers,
    `resting` how many admitted examples rest on a grant, by its id.
    """
    excerpts = Excerpts(bundle.documents)
    found = [
        *_rules(bundle, excerpts, frozenset(untested)),
        *_covered(bundle, excerpts),
        *(_clash(clash, excerpts) for clash in name_clashes(bundle.rules)),
        *_grants(bundle, excerpts),
        *_reviews(bundle, excerpts, on),
        *_ends(bundle, excerpts, on, resting),
        *(_idle(case, excerpts) for case in idle),
    ]
    return tuple(sorted(found, key=lambda each: (str(each.place.file), each.place.line, each.code)))


def _rules(bundle: Bundle, excerpts: Excerpts, untested: frozenset[str]) -> Iterator[Diagnostic]:
    for rule in bundle.rules:
        if not any(map(can_hold, rule.when.alternatives)):
            yield excerpts.warning(
                "never-matches",
                rule.where,
                f"the rule {quoted(rule.id)} can never match: its tests contradict each other",
                "look at its `when` together with the `scope` of its file",
            )
        elif not is_ever_in_force(rule):
            yield excerpts.warning(
                "never-matches",
                rule.where,
                f"the rule {quoted(rule.id)} can never match: no source it cites is in force "
                "while the rule is",
                "compare its `in_force` with those of its sources",
            )
        elif rule.id in untested:
            yield excerpts.warning(
                "untested",
                rule.where,
                f"no test case reaches the rule {quoted(rule.id)}",
                "add a case that it decides",
            )
        yield from _form(rule, excerpts)


def _form(rule: Rule, excerpts: Excerpts) -> Iterator[Diagnostic]:
    """What a rule of its layer must have."""
    if rule.layers != _ORGANISATION and not rule.cites:
        yield excerpts.error(
            "uncited",
            rule.where,
            f"the rule {quoted(rule.id)} cites nothing",
            "add `cite`: a rule must cite the clause it comes from",
        )
    if rule.layers == _ORGANISATION and rule.effect is Effect.PERMIT and not rule.duties:
        yield excerpts.warning(
            "no-duties",
            rule.where,
            f"the permit {quoted(rule.id)} of the organisation carries no duties",
            "remove it: the organisation restricts, and its permits only carry duties",
        )


def _covered(bundle: Bundle, excerpts: Excerpts) -> Iterator[Diagnostic]:
    for covered in covered_rules(bundle.rules, bundle.grants):
        if covered.rule.effect is Effect.PERMIT and covered.by.effect is Effect.FORBID:
            yield _overruled(covered, excerpts)
        else:
            rule, by = covered.rule, covered.by
            yield excerpts.warning(
                "never-decides",
                rule.where,
                f"the rule {quoted(rule.id)} never decides: "
                f"wherever it matches, {quoted(by.id)} {_VERBS[by.effect]}",
                f"remove it, or narrow {quoted(by.id)} so that it leaves this case alone",
            )


def _overruled(covered: Covered, excerpts: Excerpts) -> Diagnostic:
    by = quoted(covered.by.id)
    return excerpts.warning(
        "always-overruled",
        covered.rule.where,
        f"the permit {quoted(covered.rule.id)} is always overruled: "
        f"wherever it matches, {by} forbids",
        f"forbid beats permit, however narrow the permit: narrow {by}, or remove the permit",
    )


def _clash(clash: Clash, excerpts: Excerpts) -> Diagnostic:
    rule, other = clash.rule, clash.other
    if rule is other:
        message = f"the rule {quoted(rule.id)} asks for two names at once"
    else:
        message = f"the rules {quoted(other.id)} and {quoted(rule.id)} ask for two names at once"
    return excerpts.warning(
        "duty-clash",
        rule.where,
        f"{message}: one begins with {quoted(clash.other_prefix)}, the other with "
        f"{quoted(clash.prefix)}",
        "narrow them so that no example needs both: a student has one name",
    )


def _grants(bundle: Bundle, excerpts: Excerpts) -> Iterator[Diagnostic]:
    rules = {rule.id: rule for rule in bundle.rules}
    for grant in bundle.grants:
        if not (grant.is_approved or grant.is_revoked):
            yield excerpts.warning(
                "not-approved",
                grant.where,
                f"the grant {quoted(grant.id)} is not approved, so it lifts nothing",
                "have somebody else approve this file: `inbond policy approve`",
            )
        idle = [
            each for name in sorted(grant.lifts) for each in _lift(grant, rules[name], excerpts)
        ]
        yield from idle
        # A scope that misses everything is said once.
        if grant.permits and not idle:
            yield from _permits(grant, bundle, excerpts)


def _lift(grant: Grant, rule: Rule, excerpts: Excerpts) -> Iterator[Diagnostic]:
    if rule.effect is Effect.PERMIT:
        yield excerpts.warning(
            "idle-grant",
            grant.where,
            f"this grant lifts the permit {quoted(rule.id)}, which stands all the same",
            "lift what forbids or asks for review; name the gates it permits under `permits`",
        )
    elif not meet(grant.scope, rule.when):
        yield excerpts.warning(
            "idle-grant",
            grant.where,
            f"the scope of this grant never meets the rule {quoted(rule.id)}",
            "compare its `scope` with the rule's conditions",
        )


def _permits(grant: Grant, bundle: Bundle, excerpts: Excerpts) -> Iterator[Diagnostic]:
    """Where the party speaks is where its grant may end a silence."""
    speaks = {
        rule.scope
        for rule in bundle.rules
        if rule.party == grant.party and rule.layers != _ORGANISATION
    }
    if not grant.permits & _WHERE_SILENCE_FORBIDS:
        yield excerpts.warning(
            "idle-grant",
            grant.where,
            "this grant permits gates where nothing needs a permit",
            "permit `training`: silence forbids at the response and dataset gates alone",
        )
    elif not any(meet(grant.scope, scope) for scope in speaks):
        yield excerpts.warning(
            "idle-grant",
            grant.where,
            f"the scope of this grant never meets a policy of {quoted(grant.party)}, "
            "so it permits nothing",
            "compare its `scope` with those of the party's policies",
        )


def _reviews(bundle: Bundle, excerpts: Excerpts, on: datetime) -> Iterator[Diagnostic]:
    for source in bundle.sources.values():
        if source.review_by is not None and on >= source.review_by:
            yield excerpts.warning(
                "stale",
                source.where,
                f"the review of {quoted(source.id)} was due {_days(on - source.review_by)} ago; "
                "permits that rest on it alone count as review",
                "read the text again, then set `read` and `review_by`",
            )
    for policy in bundle.policies:
        is_dated = any(source.review_by is not None for source in policy.sources.values())
        if not is_dated and on - policy.reviewed > _LONG_AGO:
            yield excerpts.warning(
                "stale",
                policy.where,
                f"the policy {quoted(policy.id)} was reviewed {_days(on - policy.reviewed)} ago",
                "read it through again, then set `reviewed`",
            )


def ending(bundle: Bundle, on: datetime) -> tuple[Grant, ...]:
    """The grants in effect that end within 30 days of an instant, or have ended."""
    return tuple(
        grant
        for grant in bundle.grants
        if grant.in_force.until is not None
        and grant.in_force.until - on <= _SOON
        and grant.is_approved
        and not grant.is_revoked
        # One that counts as of the exchange keeps lifting for the exchanges of its time.
        and (grant.in_force.until > on or grant.as_of != "exchange")
    )


def _ends(
    bundle: Bundle, excerpts: Excerpts, on: datetime, resting: Mapping[str, int]
) -> Iterator[Diagnostic]:
    for grant in ending(bundle, on):
        until = grant.in_force.until
        assert until is not None  # noqa: S101 - or it would not end
        end = f"ends in {_days(until - on)}" if until > on else "has ended"
        yield excerpts.warning(
            "expires",
            grant.where,
            f"the grant {quoted(grant.id)} {end}{_weight(resting.get(grant.id, 0))}",
            "renew it, or remove it once nothing depends on it",
        )


def _weight(examples: int) -> str:
    if not examples:
        return ""
    return (
        f"; {examples:,} admitted examples depend on it"
        if examples > 1
        else "; 1 admitted example depends on it"
    )


def _days(span: timedelta) -> str:
    return "1 day" if span.days == 1 else f"{span.days} days"


def _idle(case: Case, excerpts: Excerpts) -> Diagnostic:
    return excerpts.warning(
        "idle-case",
        case.where,
        f"the case {quoted(case.name)} passes by silence alone: no rule decides it",
        "give it the facts of the rule it is about, or say `silent` if silence is what it shows",
    )
