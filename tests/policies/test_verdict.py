"""One clock's verdict is what trying every way for the undecided rules to turn out gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from policies.matrix import compile_rules
from policies.model import Condition, Duty, Effect, Gate, Layer, Rule
from policies.verdict import View
from tests.policies.strategies import HERE, UNTIMED

SPEAKING = (Layer.HOST, Layer.MODEL, Layer.ROUTER)
P, R, F = Effect.PERMIT, Effect.REVIEW, Effect.FORBID


@dataclass(frozen=True, kw_only=True)
class Line:
    """One rule and how it stands: a lifted review counts as a permit without duties."""

    effect: Effect
    state: Literal["sure", "maybe", "off"]
    layers: frozenset[Layer]
    duties: frozenset[str]
    is_lifted: bool


def lines() -> st.SearchStrategy[list[Line]]:
    """Up to six rules."""
    line = st.builds(
        Line,
        effect=st.sampled_from([P, P, P, R, R, F]),
        state=st.sampled_from(["sure", "maybe", "maybe", "off"]),
        layers=st.sets(st.sampled_from([*SPEAKING, Layer.ORGANISATION])).map(frozenset),
        duties=st.sets(st.sampled_from(["notice", "display"])).map(frozenset),
        is_lifted=st.booleans(),
    )
    return st.lists(line, max_size=6)


def mask(lines: list[Line], which: list[bool]) -> int:
    """The rows of some lines: each has one."""
    return sum(1 << at for at in range(len(lines)) if which[at])


def view(
    lines: list[Line], need: frozenset[Layer], perhaps: frozenset[Layer] = frozenset()
) -> View:
    """The view of one clock; the other may speak for some layers."""
    rules = [
        Rule(
            id=f"p/{at}",
            policy="p",
            party="Host",
            layers=line.layers,
            effect=line.effect,
            gates=frozenset({Gate.DATASET}),
            when=Condition(),
            because="It says so.",
            duties=tuple(Duty(kind=d, value="x") for d in line.duties if line.effect is P),
            where=HERE,
        )
        for at, line in enumerate(lines)
    ]
    spared = [line.is_lifted and line.effect is not P for line in lines]
    reviews = [line.effect is R for line in lines]
    speaks = [line.effect is not F for line in lines]
    lifted = mask(lines, spared)
    return View(
        matrix=compile_rules(rules, []),
        sure=mask(lines, [line.state == "sure" for line in lines]),
        maybe=mask(lines, [line.state != "off" for line in lines]),
        forbid=mask(lines, [line.effect is F for line in lines]) & ~lifted,
        review=mask(lines, reviews) & ~lifted,
        permit=mask(lines, [line.effect is P for line in lines]) | mask(lines, reviews) & lifted,
        layers={
            layer: mask(lines, [layer in line.layers for line in lines]) & mask(lines, speaks)
            for layer in need
        },
        perhaps=perhaps,
        lifted={at: "letter" for at, is_spared in enumerate(spared) if is_spared},
        grants=frozenset(),
    )


def outcome(on: list[Line], need: frozenset[Layer]) -> tuple[Effect, frozenset[str]]:
    """The verdict and duties when exactly these rules match and these layers must speak."""
    if any(line.effect is F and not line.is_lifted for line in on):
        return F, frozenset()
    if any(all(line.effect is F or layer not in line.layers for line in on) for layer in need):
        return F, frozenset()
    if any(line.effect is R and not line.is_lifted for line in on):
        return R, frozenset()
    return P, frozenset(duty for line in on if line.effect is P for duty in line.duties)


def worlds(lines: list[Line], but: int | None = None) -> Iterator[list[Line]]:
    """Every way for the undecided rules to turn out, one of them left out."""
    choices = [
        [False]
        if at == but
        else {"sure": [True], "off": [False], "maybe": [False, True]}[line.state]
        for at, line in enumerate(lines)
    ]
    for world in product(*choices):
        yield [line for line, is_on in zip(lines, world, strict=True) if is_on]


def outcomes(
    lines: list[Line], need: frozenset[Layer], perhaps: frozenset[Layer]
) -> set[tuple[Effect, frozenset[str]]]:
    """What follows in each world, the other clock speaking for its layers or not."""
    return {outcome(on, left) for on in worlds(lines) for left in needs_left(need, perhaps)}


def needs_left(need: frozenset[Layer], perhaps: frozenset[Layer]) -> list[frozenset[Layer]]:
    """The layers that must speak here, for each way in which the other clock may speak."""
    open_ = sorted(need & perhaps)
    sizes = range(len(open_) + 1)
    return [need - set(heard) for size in sizes for heard in combinations(open_, size)]


elsewhere = st.sampled_from([frozenset[Layer](), frozenset({Layer.HOST}), frozenset(SPEAKING[:2])])
needs = st.sampled_from([frozenset[Layer](), frozenset(SPEAKING[:2]), frozenset(SPEAKING)])


@UNTIMED
@given(lines=lines(), need=needs, perhaps=elsewhere)
def test_verdict_is_what_all_worlds_agree_on(
    lines: list[Line], need: frozenset[Layer], perhaps: frozenset[Layer]
) -> None:
    """One outcome in every world is the verdict; more than one is review."""
    seen = view(lines, need, perhaps)
    found = outcomes(lines, need, perhaps)
    if len(found) == 1:
        ((verdict, duties),) = found
        assert not seen.is_undecided
        assert seen.verdict is verdict
        if verdict is P:
            assert {duty.kind for duty in seen.duties(seen.sure)} == duties
    else:
        assert seen.is_undecided
        assert seen.verdict is R


@UNTIMED
@given(lines=lines(), need=needs, perhaps=elsewhere)
def test_undecided_are_the_rules_that_can_tip_the_outcome(
    lines: list[Line], need: frozenset[Layer], perhaps: frozenset[Layer]
) -> None:
    """A rule is named where in some world its matching makes another outcome, else it is not."""
    tipping = mask(
        lines,
        [
            line.state == "maybe"
            and any(
                outcome(on, left) != outcome([*on, line], left)
                for on in worlds(lines, at)
                for left in needs_left(need, perhaps)
            )
            for at, line in enumerate(lines)
        ],
    )
    assert view(lines, need, perhaps).undecided == tipping


@UNTIMED
@given(lines=lines(), need=needs, perhaps=elsewhere)
def test_worst_and_best_are_the_strictest_and_mildest_worlds(
    lines: list[Line], need: frozenset[Layer], perhaps: frozenset[Layer]
) -> None:
    """Pessimist and optimist bound what any world says, and each is some world's verdict."""
    verdicts = {verdict for verdict, _ in outcomes(lines, need, perhaps)}
    seen = view(lines, need, perhaps)
    assert seen.worst is max(verdicts, key=[P, R, F].index)
    assert seen.best is min(verdicts, key=[P, R, F].index)


@UNTIMED
@given(lines=lines(), need=needs)
def test_by_names_rules_of_the_verdicts_own_effect(
    lines: list[Line], need: frozenset[Layer]
) -> None:
    """Forbids set a forbid, permits a permit, reviews and possible forbids a review."""
    seen = view(lines, need)
    expected = {F: {F}, R: {R, F}, P: {P}}[seen.verdict]
    states = {"sure", "maybe"} if seen.verdict is R else {"sure"}
    assert seen.by == [
        at
        for at, line in enumerate(lines)
        if line.effect in expected
        and line.state in states
        and not (line.is_lifted and line.effect is not P)
    ]


@UNTIMED
@given(lines=lines(), need=needs, perhaps=elsewhere)
def test_silent_layers_are_those_no_world_ends(
    lines: list[Line], need: frozenset[Layer], perhaps: frozenset[Layer]
) -> None:
    """A layer is silent where nothing that can match speaks for it, nor the other clock may."""
    speaking = {
        layer
        for line in lines
        if line.effect is not F and line.state != "off"
        for layer in line.layers
    }
    assert view(lines, need, perhaps).silent == need - speaking - perhaps


def line(
    effect: Effect, state: Literal["sure", "maybe", "off"], *layers: Layer, duty: str = ""
) -> Line:
    """A rule that nobody lifted."""
    duties = frozenset({duty} - {""})
    return Line(
        effect=effect, state=state, layers=frozenset(layers), duties=duties, is_lifted=False
    )


BOTH = frozenset({Layer.HOST, Layer.MODEL})


def test_each_layers_only_speaker_can_tip_the_outcome() -> None:
    """Where two layers wait for one rule each, both rules decide."""
    waiting = [line(P, "maybe", Layer.HOST), line(P, "maybe", Layer.MODEL)]
    assert view(waiting, BOTH).undecided == 0b11


def test_a_speaker_beside_one_that_is_needed_anyway_tips_nothing() -> None:
    """A rule for a layer that another rule must end the silence of in any case decides nothing."""
    shared = [line(P, "maybe", Layer.HOST, Layer.MODEL), line(P, "maybe", Layer.HOST)]
    assert view(shared, BOTH).undecided == 0b01


def test_a_second_review_tips_nothing() -> None:
    """Beside a sure review an undecided one of a layer that need not speak decides nothing."""
    reviewed = [
        line(R, "sure", Layer.HOST),
        line(P, "maybe", Layer.MODEL),
        line(R, "maybe", Layer.ORGANISATION),
    ]
    assert view(reviewed, BOTH).undecided == 0b010


def test_a_duty_that_comes_along_anyway_tips_nothing() -> None:
    """A permit whose duty a needed permit brings in any case decides nothing."""
    bound = [
        line(P, "maybe", Layer.HOST, Layer.MODEL, duty="notice"),
        line(P, "maybe", Layer.ORGANISATION, duty="notice"),
        line(P, "maybe", Layer.ORGANISATION, duty="display"),
    ]
    assert view(bound, BOTH).undecided == 0b101
