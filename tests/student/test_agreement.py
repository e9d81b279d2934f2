"""Comparing equals what the whole matrix of logits gives, however it is cut."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from student.agreement import compare
from student.losses import Likeliest, Supervision, nll, topk_kl

_HIDDEN, _VOCABULARY, _TOKENS = 6, 11, 20


@given(seed=st.integers(0, 99), supervised=st.integers(1, 15), chunk=st.integers(1, 20))
def test_each_position_is_compared_alone(seed: int, supervised: int, chunk: int) -> None:
    """Loss and first choice are those of a float64 reference over all logits at once."""
    made = torch.Generator().manual_seed(seed)
    hidden = torch.randn(_TOKENS, _HIDDEN, generator=made, dtype=torch.float64)
    head = torch.randn(_VOCABULARY, _HIDDEN, generator=made, dtype=torch.float64)
    positions = torch.randperm(_TOKENS, generator=made)[:supervised]
    logits = hidden[positions] @ head.T
    targets = torch.randint(_VOCABULARY, (supervised,), generator=made)
    targets[0] = logits[0].argmax()
    found = compare(hidden, head, Supervision(positions=positions, targets=targets), chunk=chunk)
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(found.nll, expected)
    assert found.is_first.tolist() == (logits.argmax(-1) == targets).tolist()
    assert found.is_first[0]


def test_the_loss_is_the_one_that_is_trained_on() -> None:
    """Measuring and training give the same figure for each token."""
    made = torch.Generator().manual_seed(0)
    hidden, head = (torch.randn(n, _HIDDEN, generator=made) for n in (_TOKENS, _VOCABULARY))
    which = Supervision(positions=torch.arange(9), targets=torch.arange(9))
    found = compare(hidden, head, which, chunk=4)
    torch.testing.assert_close(found.nll, nll(hidden, head, which, chunk=4))


@pytest.mark.parametrize(("target", "is_first"), [(0, True), (1, False)])
def test_of_equal_scores_the_lowest_is_first(target: int, *, is_first: bool) -> None:
    """A tie is no agreement with every token."""
    which = Supervision(positions=torch.tensor([0]), targets=torch.tensor([target]))
    found = compare(torch.zeros(1, 3), torch.zeros(4, 3), which, chunk=8)
    assert found.is_first.tolist() == [is_first]


@given(seed=st.integers(0, 99), told=st.integers(1, 9), chunk=st.integers(1, 12))
def test_what_a_teacher_told_is_compared_where_it_told(seed: int, told: int, chunk: int) -> None:
    """The KL of the last positions is that of all their logits at once, however it is cut."""
    made = torch.Generator().manual_seed(seed)
    hidden = torch.randn(9, _HIDDEN, generator=made, dtype=torch.float64)
    head = torch.randn(_VOCABULARY, _HIDDEN, generator=made, dtype=torch.float64)
    teacher = torch.randn(told, _VOCABULARY, generator=made, dtype=torch.float64)
    logprobs, ids = teacher.log_softmax(-1).topk(3)
    likeliest = Likeliest(
        ids=ids, logprobs=logprobs, share=torch.ones(told), temperature=torch.full((told,), 1.5)
    )
    which = Supervision(
        positions=torch.arange(9), targets=torch.zeros(9, dtype=torch.int64), likeliest=likeliest
    )
    found = compare(hidden, head, which, chunk=chunk)
    expected, _ = topk_kl((hidden @ head.T)[-told:], likeliest)
    torch.testing.assert_close(found.kl, expected)
    assert (found.kl >= 0).all()


def test_half_precision_is_compared_in_single() -> None:
    """The loss of bf16 states is summed in fp32."""
    which = Supervision(positions=torch.tensor([0]), targets=torch.tensor([1]))
    hidden = torch.ones(1, 3, dtype=torch.bfloat16)
    assert compare(hidden, torch.ones(4, 3), which, chunk=8).nll.dtype == torch.float32
