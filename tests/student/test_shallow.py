"""A shallower student is its model without some layers, and nothing else."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from student.errors import ModelError
from student.model import Student, load_student
from student.shallow import leave_out


def test_what_is_left_is_the_model_without_those_layers(
    base: Path, student: Student, tmp_path: Path
) -> None:
    """The same logits as of the model with the layer taken out by hand; tokenizer and template too."""
    leave_out(base, tmp_path / "shallow", range(1))
    made = load_student(str(tmp_path / "shallow"), tmp_path)
    by_hand = student.model
    by_hand.model.layers = nn.ModuleList([by_hand.model.layers[1]])
    by_hand.config.num_hidden_layers = 1
    ids = torch.arange(20)[None]
    with torch.no_grad():
        expected = by_hand(input_ids=ids, use_cache=False).logits
        torch.testing.assert_close(made.model(input_ids=ids, use_cache=False).logits, expected)
    assert made.tokenizer.digest == student.tokenizer.digest
    assert made.base.origin == f"{base.name} without layers 0 to 0"
    assert made.base.licence == student.base.licence


def test_lists_by_layer_are_shortened_too(base: Path, tmp_path: Path) -> None:
    """A configuration that names each layer's type still names one for each."""
    folder = tmp_path / "typed"
    leave_out(base, folder, range(0))
    config = json.loads((folder / "config.json").read_text())
    config["layer_types"] = ["full_attention", "sliding_attention"]
    (folder / "config.json").write_text(json.dumps(config))
    leave_out(folder, tmp_path / "shallow", range(1))
    made = json.loads((tmp_path / "shallow/config.json").read_text())
    assert (made["num_hidden_layers"], made["layer_types"]) == (1, ["sliding_attention"])


@pytest.mark.parametrize("layers", [range(2), range(1, 3), range(5, 6)])
def test_layers_that_are_not_there_or_all_of_them_are_refused(
    base: Path, tmp_path: Path, layers: range
) -> None:
    """Nothing is written then."""
    with pytest.raises(ModelError, match=r"cannot be left out of 2"):
        leave_out(base, tmp_path / "shallow", layers)
    assert not (tmp_path / "shallow").exists()
