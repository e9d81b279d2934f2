"""Adapters learn beside a base that stays, and are what peft itself reads, merges and computes."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from student import digest
from student.adapters import add_adapter, merged, save_adapter
from student.config import Config
from student.errors import ConfigError, ModelError
from student.model import Student
from student.parallel import Team, consolidated

_CONFIG = Config(lora_rank=4, lora_alpha=6.0)
_IDS = torch.arange(3, 40)[None]


@pytest.fixture
def adapted(student: Student) -> Student:
    """A student with an adapter that has learned: its second matrices are no longer zero."""
    torch.manual_seed(3)
    add_adapter(student.model, _CONFIG)
    with torch.no_grad():
        for name, weight in student.model.named_parameters():
            if ".lora_B." in name:
                weight.normal_(std=0.1)
    student.model.train(mode=False)
    return student


def test_a_new_adapter_changes_nothing(student: Student) -> None:
    """Before its first step an adapter adds zero, and it alone will learn."""
    student.model.train(mode=False)
    with torch.no_grad():
        before = student.model(input_ids=_IDS).logits
        add_adapter(student.model, _CONFIG)
        assert torch.equal(student.model(input_ids=_IDS).logits, before)
    learning = {name for name, w in student.model.named_parameters() if w.requires_grad}
    assert learning
    assert all(".lora_A." in name or ".lora_B." in name for name in learning)


def test_no_rank_adds_no_adapter(student: Student) -> None:
    """With rank 0 all weights learn and keep their names, and merging changes nothing."""
    names = [name for name, _ in student.model.named_parameters()]
    add_adapter(student.model, Config())
    assert [name for name, _ in student.model.named_parameters()] == names
    assert all(weight.requires_grad for weight in student.model.parameters())
    weights = consolidated(student.model, Team())
    assert merged(weights, Config()) == weights


def test_the_same_seed_gives_the_same_adapter(base: Path, tmp_path: Path) -> None:
    """What an adapter starts from comes from torch's random state, so a run can be repeated."""
    from student.model import load_student

    found = []
    for _ in range(2):
        model = load_student(str(base), tmp_path).model
        torch.manual_seed(5)
        add_adapter(model, _CONFIG)
        found.append([w.detach() for w in model.parameters() if w.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_layers_may_be_chosen_by_name(student: Student) -> None:
    """Only the layers that are named get an adapter."""
    add_adapter(student.model, Config(lora_rank=2, lora_targets="q_proj,v_proj"))
    learning = {name for name, w in student.model.named_parameters() if w.requires_grad}
    assert {name.split(".")[4] for name in learning} == {"q_proj", "v_proj"}


def test_layers_that_are_not_there_are_refused(student: Student) -> None:
    """Names that no layer has are refused in one line, with what to give."""
    with pytest.raises(ModelError, match="no adapter fits") as caught:
        add_adapter(student.model, Config(lora_rank=2, lora_targets="nowhere"))
    assert "\n" not in caught.value.message
    assert "all-linear" in caught.value.help


def test_without_peft_an_adapter_is_refused(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra the run does not start, and the message names it."""
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="`peft` is not installed") as caught:
        add_adapter(student.model, _CONFIG)
    assert "--extra lora" in caught.value.help


def test_merged_weights_compute_what_the_adapter_computes(adapted: Student, base: Path) -> None:
    """A plain model with the merged weights gives the adapted model's logits."""
    plain: Any = AutoModelForCausalLM
    model = plain.from_pretrained(base, dtype=torch.float32)
    whole = merged(consolidated(adapted.model, Team()), _CONFIG)
    missing = model.load_state_dict(whole, strict=False)
    assert not missing.unexpected_keys
    with torch.no_grad():
        ours, theirs = (each(input_ids=_IDS).logits for each in (model, adapted.model))
    assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own call
def test_peft_reads_and_merges_what_is_written(
    adapted: Student, base: Path, tmp_path: Path
) -> None:
    """What peft loads onto the base computes the same, and its own merge gives the weights of ours."""
    from peft import PeftModel

    weights = consolidated(adapted.model, Team())
    files = save_adapter(weights, _CONFIG, asdict(adapted.base), tmp_path / "adapter")
    assert set(files) == {
        "adapter_config.json", "adapter_model.safetensors", "inbond-adapter.json",
    }  # fmt: skip
    assert files == {p.name: digest.of_file(p) for p in sorted((tmp_path / "adapter").iterdir())}
    plain: Any = AutoModelForCausalLM
    loaded: Any = PeftModel.from_pretrained(
        plain.from_pretrained(base, dtype=torch.float32), str(tmp_path / "adapter")
    )
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=_IDS).logits, adapted.model(input_ids=_IDS).logits)
    theirs = loaded.merge_and_unload().state_dict()
    ours = merged(weights, _CONFIG)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
