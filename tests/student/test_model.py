"""Students are loaded from plain folders alone, probed before they learn, and saved whole."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from student import digest
from student.errors import ModelError
from student.losses import nll, sequence_loss
from student.model import (
    Student,
    hidden_states,
    load_student,
    output_head,
    probe,
    save_student,
    supervision,
)
from student.packing import Example, join
from tests.student.disk import disk_of
from tests.student.students import write_student


def _example(seed: int, tokens: int) -> Example:
    ids = np.random.default_rng(seed).integers(3, 200, tokens).astype(np.int32)
    is_target = np.arange(tokens) > 0
    return Example(ids=ids, is_target=is_target)


def _nll(student: Student, examples: list[Example]) -> torch.Tensor:
    row = join(examples)
    model = student.model
    teaches = supervision(row, model.device)
    return nll(hidden_states(model, row), output_head(model), teaches, chunk=16)


def test_a_folder_gives_a_student_with_its_papers(base: Path, student: Student) -> None:
    """The base names every file by digest, and the padding id is among the ends of a turn."""
    assert student.base.origin == base.name
    assert student.base.licence is None
    assert student.base.files["model.safetensors"] == digest.of_file(base / "model.safetensors")
    assert student.tokenizer.ends == {student.tokenizer.backend.pad_token_id}
    assert all(weight.dtype == torch.float32 for weight in student.model.parameters())


def test_rows_packed_equal_rows_alone(student: Student) -> None:
    """Packed with others, each token's loss is within 1e-4 nats of the row alone."""
    examples = [_example(seed, 10 + seed) for seed in range(4)]
    student.model.train(mode=False)
    alone = torch.cat([_nll(student, [example]) for example in examples])
    assert (_nll(student, examples) - alone).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("qwen2", {}),
        ("qwen3", {"head_dim": 8}),
        ("mistral", {"sliding_window": 16}),
        ("gemma", {"head_dim": 8}),
        ("gemma3_text", {"head_dim": 8, "sliding_window": 16}),
        ("smollm3", {}),
    ],
)
def test_a_student_may_be_of_any_family(tmp_path: Path, family: str, more: dict[str, Any]) -> None:
    """Each family keeps packed rows apart, learns in every weight, and is saved as it was."""
    base = write_student(tmp_path / "base", family=family, **more)
    student = load_student(str(base), tmp_path)
    examples = [_example(1, 40), _example(2, 30)]
    assert probe(student.model, *examples, tolerance=1e-3) <= 1e-4
    row = join(examples)
    taught = supervision(row, student.model.device)
    hidden = hidden_states(student.model, row)
    loss = sequence_loss(hidden, output_head(student.model), taught, batch_targets=68, chunk=16)
    torch.autograd.backward(loss)
    gradients = [weight.grad for weight in student.model.parameters()]
    assert all(grad is not None and bool(grad.abs().sum() > 0) for grad in gradients)
    save_student(student.model, student.tokenizer, tmp_path / "saved")
    again = load_student(str(tmp_path / "saved"), tmp_path)
    pairs = zip(student.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_bare_student_has_everything_but_weights(base: Path, student: Student) -> None:
    """Left bare, a model has the same shapes, takes no memory and knows the same base."""
    bare = load_student(str(base), base, is_bare=True)
    assert {weight.device.type for weight in bare.model.parameters()} == {"meta"}
    shapes = [(name, weight.shape) for name, weight in student.model.named_parameters()]
    assert [(name, weight.shape) for name, weight in bare.model.named_parameters()] == shapes
    assert bare.base == replace(student.base, files={})
    assert bare.tokenizer.digest == student.tokenizer.digest


def test_a_student_that_cannot_be_written_is_said_plainly(student: Student, tmp_path: Path) -> None:
    """On a disk that takes no more, nothing half-written is left, and what to do is said."""
    with disk_of(20_000), pytest.raises(ModelError, match="cannot be written") as caught:
        save_student(student.model, student.tokenizer, tmp_path / "saved")
    assert "--resume" in caught.value.help
    assert list(tmp_path.iterdir()) == []


def test_the_probe_lets_a_sound_model_pass(student: Student) -> None:
    """A model that keeps packed rows apart passes, and stays in its mode."""
    student.model.train()
    assert probe(student.model, _example(1, 20), _example(2, 12), tolerance=1e-3) <= 1e-4
    assert student.model.training


def test_the_probe_refuses_a_model_that_mixes_rows(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that ignores restarting positions is refused."""
    inner = student.model.base_model.forward

    def mixing(**call: object) -> object:
        ids = call["input_ids"]
        assert isinstance(ids, torch.Tensor)
        return inner(**{**call, "position_ids": torch.arange(ids.shape[1])[None]})

    monkeypatch.setattr(student.model.base_model, "forward", mixing)
    with pytest.raises(ModelError, match="packed rows differ") as caught:
        probe(student.model, _example(1, 20), _example(2, 12), tolerance=1e-3)
    assert caught.value.code == "packing-probe"


def test_the_probe_refuses_logits_that_are_more_than_a_product(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that scales its logits after the head is refused, since training would not."""
    inner = student.model.forward

    def scaled(**call: object) -> object:
        output = inner(**call)
        output.logits = output.logits * 0.5
        return output

    monkeypatch.setattr(student.model, "forward", scaled)
    with pytest.raises(ModelError, match="packed rows differ"):
        probe(student.model, _example(1, 20), _example(2, 12), tolerance=1e-3)


def test_a_head_with_a_bias_is_refused(student: Student) -> None:
    """A bias after the head would be left out of the loss, so the model is refused."""
    model: Any = student.model
    model.set_output_embeddings(torch.nn.Linear(32, 259, bias=True))
    with pytest.raises(ModelError, match="not one matrix"):
        output_head(model)


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "no-such-model"}'])
def test_an_unreadable_configuration_is_refused(tmp_path: Path, text: str) -> None:
    """What is no configuration of a causal model is refused in one line."""
    folder = write_student(tmp_path / "model")
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="no usable student") as caught:
        load_student(str(folder), tmp_path)
    assert "\n" not in caught.value.message


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """Weights that safetensors cannot read are refused."""
    folder = write_student(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(ModelError, match="no usable student"):
        load_student(str(folder), tmp_path)


def test_absent_weights_are_refused(tmp_path: Path) -> None:
    """A weight that the file lacks is never filled at random."""
    folder = write_student(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack `model\.layers\.1\.mlp\.up_proj\.weight`"):
        load_student(str(folder), tmp_path)


def test_a_tokenizer_without_a_template_is_refused(tmp_path: Path) -> None:
    """Without a chat template there is no way to say who speaks, so the student is refused."""
    folder = write_student(tmp_path / "model", template=None)
    with pytest.raises(ModelError, match="no chat template"):
        load_student(str(folder), tmp_path)


def test_a_saved_student_loads_as_it_was(student: Student, tmp_path: Path) -> None:
    """What is saved loads again with the same weights, template and tokenizer; no half is left."""
    folder = tmp_path / "saved"
    digests = save_student(student.model, student.tokenizer, folder)
    again = load_student(str(folder), tmp_path)
    pairs = zip(student.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert again.tokenizer.template_digest == student.tokenizer.template_digest
    assert again.base.files == digests
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
