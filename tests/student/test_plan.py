"""The plan: a pure function of the seed that loses no example and seeks for nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from student.plan import Plan, rate

_BUDGET = 32


@st.composite
def _plans(draw: st.DrawFn) -> Plan:
    lengths = draw(st.lists(st.integers(1, _BUDGET), min_size=1, max_size=40))
    batch = draw(st.integers(_BUDGET, 4 * _BUDGET))
    return Plan(lengths=lengths, seed=draw(st.integers(0, 2**32)), batch=batch, budget=_BUDGET)


def _again(plan: Plan) -> Plan:
    return Plan(lengths=plan.lengths, seed=plan.seed, batch=plan.batch, budget=plan.budget)


@given(plan=_plans(), epoch=st.integers(0, 3))
def test_an_epoch_holds_every_example_once(plan: Plan, epoch: int) -> None:
    """The steps of any epoch together hold each example exactly once, and none is empty."""
    numbers = range(epoch * plan.epoch_steps, (epoch + 1) * plan.epoch_steps)
    steps = [plan.step(number) for number in numbers]
    assert sorted(i for step in steps for i in step.examples) == list(range(len(plan.lengths)))
    assert all(step.examples and step.epoch == epoch for step in steps)


@given(plan=_plans(), number=st.integers(0, 200))
def test_seeking_to_a_step_gives_what_walking_gives(plan: Plan, number: int) -> None:
    """A fresh plan asked for step n alone gives the step that one which walked there gives."""
    for before in range(max(0, number - 5), number):
        plan.step(before)
    assert plan.step(number) == _again(plan).step(number)


@given(plan=_plans(), number=st.integers(0, 50))
def test_rows_hold_the_batch_and_keep_to_the_budget(plan: Plan, number: int) -> None:
    """The rows of a step are its examples, packed."""
    step = plan.step(number)
    assert sorted(index for row in step.rows for index in row) == sorted(step.examples)
    assert all(sum(plan.lengths[index] for index in row) <= _BUDGET for row in step.rows)


@given(plan=_plans(), number=st.integers(0, 50))
def test_a_batch_exceeds_its_size_by_less_than_one_example(plan: Plan, number: int) -> None:
    """A batch is about as large as asked for; only part of one example may be above."""
    step = plan.step(number)
    slack = max(plan.lengths)
    assert sum(plan.lengths[index] for index in step.examples) < plan.batch + slack


def test_seed_and_epoch_change_the_order() -> None:
    """Another seed and another epoch give another order."""
    plans = [Plan(lengths=[1] * 50, seed=seed, batch=50, budget=50) for seed in (0, 1)]
    orders = {plans[0].step(0).examples, plans[0].step(1).examples, plans[1].step(0).examples}
    assert len(orders) == 3


def test_the_order_is_pinned() -> None:
    """The order of a seed never changes, whatever library or platform runs it."""
    plan = Plan(lengths=[1] * 6, seed=7, batch=3, budget=3)
    assert [plan.step(number).examples for number in range(2)] == [(3, 1, 4), (2, 5, 0)]


@pytest.mark.parametrize("lengths", [[1, 10], [10] + [1] * 11])
def test_a_long_example_leaves_no_batch_empty(lengths: list[int]) -> None:
    """Wherever an example that is more than its share falls, every batch still has one."""
    for seed in range(100):
        plan = Plan(lengths=lengths, seed=seed, batch=10, budget=10)
        assert all(plan.step(number).examples for number in range(plan.epoch_steps))


@pytest.mark.parametrize(("total", "warmup_share"), [(1, 0.0), (1, 0.5), (10, 0.2), (100, 0.05)])
def test_the_rate_rises_to_its_highest_and_falls_to_its_last(
    total: int, warmup_share: float
) -> None:
    """The rate is never zero nor above the highest, and after the warm-up it only falls."""
    rates = [
        rate(n, total, highest=2.0, warmup_share=warmup_share, final_share=0.1)
        for n in range(total)
    ]
    top = rates.index(max(rates))
    assert all(0 < each <= 2.0 for each in rates)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_the_last_step_has_the_final_rate() -> None:
    """The last step of a run has the stated share of the highest rate."""
    last = rate(9, 10, highest=1.0, warmup_share=0.2, final_share=0.25)
    assert last == pytest.approx(0.25)
