"""Losses equal a plain float64 reference, however rows are cut into chunks and batches into rows."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from student.losses import Likeliest, Supervision, nll, sequence_loss, topk_kl

_WIDTH, _VOCAB = 8, 37


def _draw(seed: int, tokens: int, supervised: int, dtype: torch.dtype) -> "_Case":
    source = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, _WIDTH, generator=source, dtype=torch.float64).to(dtype)
    head = torch.randn(_VOCAB, _WIDTH, generator=source, dtype=torch.float64).to(dtype)
    positions = torch.randperm(tokens, generator=source)[:supervised].sort().values
    targets = torch.randint(_VOCAB, (supervised,), generator=source)
    return _Case(hidden, head, Supervision(positions=positions, targets=targets))


class _Case:
    def __init__(self, hidden: Tensor, head: Tensor, supervision: Supervision) -> None:
        self.hidden = hidden.requires_grad_()
        self.head = head.requires_grad_()
        self.supervision = supervision

    def reference(self, batch_targets: int) -> "_Outcome":
        """Plain cross-entropy over all logits, in float64."""
        hidden = self.hidden.detach().double().requires_grad_()
        head = self.head.detach().double().requires_grad_()
        logits = (hidden @ head.T)[self.supervision.positions]
        loss = torch.nn.functional.cross_entropy(logits, self.supervision.targets, reduction="sum")
        return _outcome(loss / batch_targets, hidden, head)

    def ours(self, batch_targets: int, chunk: int) -> "_Outcome":
        loss = sequence_loss(
            self.hidden, self.head, self.supervision, batch_targets=batch_targets, chunk=chunk
        )
        return _outcome(loss, self.hidden, self.head)


class _Outcome:
    def __init__(self, loss: Tensor, by_hidden: Tensor, by_head: Tensor) -> None:
        self.loss, self.by_hidden, self.by_head = loss, by_hidden, by_head

    def is_close(self, other: "_Outcome", tolerance: float) -> bool:
        pairs = zip(
            (self.loss, self.by_hidden, self.by_head),
            (other.loss, other.by_hidden, other.by_head),
            strict=True,
        )
        return all(
            torch.allclose(a.double(), b.double(), rtol=tolerance, atol=tolerance) for a, b in pairs
        )


def _outcome(loss: Tensor, hidden: Tensor, head: Tensor) -> _Outcome:
    by_hidden, by_head = torch.autograd.grad(loss, (hidden, head))
    return _Outcome(loss.detach(), by_hidden, by_head)


@given(
    seed=st.integers(0, 10_000),
    tokens=st.integers(1, 30),
    share=st.floats(0, 1),
    chunk=st.integers(1, 40),
)
def test_loss_and_gradients_equal_the_float64_reference(
    seed: int, tokens: int, share: float, chunk: int
) -> None:
    """Loss and both gradients are those of plain cross-entropy at the supervised positions."""
    case = _draw(seed, tokens, max(1, int(share * tokens)), torch.float64)
    assert case.ours(7, chunk).is_close(case.reference(7), 1e-10)


@given(seed=st.integers(0, 10_000), chunk=st.integers(1, 40))
def test_fp32_stays_near_the_reference(seed: int, chunk: int) -> None:
    """In fp32, loss and gradients are within 1e-4 of the float64 reference."""
    case = _draw(seed, 24, 11, torch.float32)
    assert case.ours(11, chunk).is_close(case.reference(11), 1e-4)


def test_bf16_hidden_states_meet_an_fp32_head() -> None:
    """Hidden states in bf16 with fp32 weights give an fp32 loss and fp32 weight gradients."""
    case = _draw(3, 20, 9, torch.float32)
    loss = sequence_loss(
        case.hidden.bfloat16(), case.head, case.supervision, batch_targets=9, chunk=4
    )
    (by_head,) = torch.autograd.grad(loss, (case.head,))
    reference = case.reference(9)
    assert loss.dtype == by_head.dtype == torch.float32
    assert torch.allclose(loss.double(), reference.loss, rtol=0.05)
    assert torch.allclose(by_head.double(), reference.by_head, atol=0.05)


def test_splitting_a_batch_into_rows_changes_nothing() -> None:
    """The parts of two rows add up to the loss and gradients of both as one."""
    case = _draw(5, 20, 10, torch.float64)
    whole = case.ours(10, 3)
    supervision = case.supervision
    halves = [
        Supervision(positions=supervision.positions[part], targets=supervision.targets[part])
        for part in (slice(0, 4), slice(4, 10))
    ]
    loss = torch.stack(
        [sequence_loss(case.hidden, case.head, half, batch_targets=10, chunk=3) for half in halves]
    ).sum()
    assert _outcome(loss, case.hidden, case.head).is_close(whole, 1e-12)


def test_only_what_needs_a_gradient_gets_one() -> None:
    """A frozen head or frozen hidden states cost no gradient of theirs."""
    case = _draw(1, 6, 3, torch.float64)
    reference = case.reference(3)
    for hidden, head, wanted in (
        (case.hidden, case.head.detach(), reference.by_hidden),
        (case.hidden.detach(), case.head, reference.by_head),
    ):
        loss = sequence_loss(hidden, head, case.supervision, batch_targets=3, chunk=2)
        (found,) = torch.autograd.grad(loss, (hidden if hidden.requires_grad else head,))
        assert torch.allclose(found, wanted)


@given(chunk=st.integers(1, 12))
def test_nll_is_each_targets_own_loss(chunk: int) -> None:
    """`nll` gives one figure per target, and their mean is the loss."""
    case = _draw(2, 15, 8, torch.float64)
    each = nll(case.hidden, case.head, case.supervision, chunk=chunk)
    assert each.shape == (8,)
    assert torch.allclose(each.mean(), case.reference(8).loss)
    assert not each.requires_grad


def test_no_target_is_no_loss() -> None:
    """A row without targets gives no figures."""
    case = _draw(2, 4, 0, torch.float32)
    assert nll(case.hidden, case.head, case.supervision, chunk=4).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nll_is_at_least_fp32(dtype: torch.dtype) -> None:
    """Figures are never narrower than fp32, whatever the hidden states are."""
    case = _draw(2, 4, 2, torch.float32)
    each = nll(case.hidden.to(dtype), case.head, case.supervision, chunk=4)
    assert each.dtype == torch.float32


def _told(seed: int, positions: int, width: int, *, temperature: float) -> Likeliest:
    """What a random teacher of float64 logits tells: `width` of its tokens, one place left empty."""
    source = torch.Generator().manual_seed(seed + 1)
    logits = torch.randn(positions, _VOCAB, generator=source, dtype=torch.float64) * 3
    top = (logits / temperature).log_softmax(-1).topk(width)
    ids, logprobs = top.indices, top.values
    ids[:, -1], logprobs[:, -1] = ids[:, 0], -torch.inf
    return Likeliest(
        ids=ids,
        logprobs=logprobs,
        share=torch.rand(positions, generator=source, dtype=torch.float64),
        temperature=torch.full((positions,), temperature, dtype=torch.float64),
    )


def _plain_kl(logits: Tensor, told: Likeliest) -> Tensor:
    """KL of each position, bucket by bucket, as the definition says it."""
    rows = []
    for at in range(len(logits)):
        q = (logits[at] / told.temperature[at]).softmax(-1)
        known = [
            (int(i), float(v)) for i, v in zip(told.ids[at], told.logprobs[at], strict=True)
            if v > -torch.inf
        ]  # fmt: skip
        terms = [math.exp(v) * (v - q[i].log()) for i, v in known]
        left = 1 - sum(math.exp(v) for _, v in known)
        others = [i for i in range(_VOCAB) if i not in dict(known)]
        terms.append(left * (math.log(left) - q[others].sum().log()))
        rows.append(torch.stack(terms).sum())
    return torch.stack(rows)


@given(
    seed=st.integers(0, 10_000),
    told=st.integers(1, 9),
    width=st.integers(2, 6),
    chunk=st.integers(1, 40),
    temperature=st.sampled_from([1.0, 0.5, 2.0]),
)
@settings(max_examples=25)
def test_topk_kl_and_its_gradients_equal_the_definition(
    seed: int, told: int, width: int, chunk: int, temperature: float
) -> None:
    """Cross-entropy and KL in their shares, with one bucket for all others, in loss and gradients."""
    case = _draw(seed, 20, 12, torch.float64)
    likeliest = _told(seed, told, width, temperature=temperature)
    case.supervision = replace(case.supervision, likeliest=likeliest)
    hidden = case.hidden.detach().clone().requires_grad_()
    head = case.head.detach().clone().requires_grad_()
    logits = (hidden @ head.T)[case.supervision.positions]
    each = torch.nn.functional.cross_entropy(logits, case.supervision.targets, reduction="none")
    kl = _plain_kl(logits[-told:], likeliest)
    share = likeliest.share
    loss = each[:-told].sum() + ((1 - share) * each[-told:] + share * kl).sum()
    assert case.ours(7, chunk).is_close(_outcome(loss / 7, hidden, head), 1e-9)


def test_a_student_that_is_its_teacher_has_no_kl() -> None:
    """Told of all its own tokens or of few, a distribution is at no distance from itself."""
    logits = torch.randn(4, _VOCAB, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for width in (1, 5, _VOCAB):
        top = logits.log_softmax(-1).topk(width)
        told = Likeliest(
            ids=top.indices, logprobs=top.values, share=torch.ones(4), temperature=torch.ones(4)
        )
        kl, slope = topk_kl(logits, told)
        assert torch.allclose(kl, torch.zeros(4, dtype=torch.float64), atol=1e-6)
        assert torch.allclose(slope, torch.zeros_like(slope), atol=1e-6)


def test_a_small_tail_keeps_its_digits_in_fp32() -> None:
    """Where the student leaves the tail next to nothing, the KL is as in float64 and finite."""
    logits = torch.zeros(1, _VOCAB)
    logits[0, 3] = 60.0
    told = Likeliest(
        ids=torch.tensor([[3]]), logprobs=torch.tensor([[math.log(0.9)]]),
        share=torch.ones(1), temperature=torch.ones(1),
    )  # fmt: skip
    narrow, slope = topk_kl(logits, told)
    wide, _ = topk_kl(logits.double(), replace(told, logprobs=told.logprobs.double()))
    assert torch.allclose(narrow.double(), wide, rtol=1e-5)
    assert slope.isfinite().all()


def test_nothing_is_renormalised_away() -> None:
    """A student that puts mass where the teacher was silent is told so by the bucket of others."""
    logits = torch.tensor([[2.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    top = logits.log_softmax(-1).topk(2)
    told = Likeliest(
        ids=top.indices, logprobs=top.values, share=torch.ones(1), temperature=torch.ones(1)
    )
    louder = logits + torch.tensor([[0.0, 0.0, 3.0, 0.0]])
    kl, slope = topk_kl(louder, told)
    assert kl > 0.1
    assert slope[0, 2] > 0 > slope[0, 0]
