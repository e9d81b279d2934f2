"""The optimiser moves what learns, decays matrices alone, and keeps to the schedule."""

import torch

from student.config import Config
from student.model import Student
from student.optimiser import make_optimiser, set_rate

_CONFIG = Config(learning_rate=1e-2, weight_decay=0.3, warmup_share=0.5, final_share=0.1)


def test_matrices_are_decayed_and_vectors_are_not(student: Student) -> None:
    """Every weight is in one group, by its shape."""
    matrices, vectors = make_optimiser(student.model, _CONFIG).param_groups
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.3, 0.0)
    assert all(weight.dim() >= 2 for weight in matrices["params"])
    assert all(weight.dim() == 1 for weight in vectors["params"])
    taken = {id(weight) for group in (matrices, vectors) for weight in group["params"]}
    assert taken == {id(weight) for weight in student.model.parameters()}


def test_what_does_not_learn_is_left_out(student: Student) -> None:
    """A weight that asks for no gradient is neither moved nor decayed."""
    frozen = student.model.get_parameter("model.embed_tokens.weight")
    frozen.requires_grad = False
    before = frozen.clone()
    optimiser = make_optimiser(student.model, _CONFIG)
    loss = student.model(input_ids=torch.arange(3, 9)[None]).logits.square().mean()
    loss.backward()
    optimiser.step()
    assert torch.equal(frozen, before)


def test_each_step_has_its_rate(student: Student) -> None:
    """The rate rises to the highest and falls to its last share, in every group."""
    optimiser = make_optimiser(student.model, _CONFIG)
    rates = [set_rate(optimiser, number, 4, _CONFIG) for number in range(4)]
    assert rates[:2] == [5e-3, 1e-2]
    assert rates[-1] < rates[1]
    assert {group["lr"] for group in optimiser.param_groups} == {rates[-1]}
