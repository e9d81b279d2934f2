"""A shallower student to start from: a model without some of its middle layers.

What is left knows the words and has lost the thread; a teacher brings it back. The way is the one of
DistilBERT (Sanh et al. 2019, section 3), which starts a student from every second layer of its
teacher, and of ShortGPT (Men et al. 2024), which finds that middle layers are missed the least.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from student.errors import ModelError

__all__ = ["leave_out"]

_LAYER = re.compile(r"^(.*\.layers\.)(\d+)(\..*)$")
_ORIGIN = "inbond-base.json"
_PER_LAYER = ("layer_types",)
"""Lists of a configuration that have one value for each layer."""


def leave_out(folder: Path, target: Path, layers: range) -> None:
    """Write the model of a folder to `target`, without the layers of these numbers.

    Tokenizer, template and licence stay as they are; the origin says what was left out.

    Raises:
        ModelError: the model has no such layers, or none would be left.
    """
    config = json.loads((folder / "config.json").read_text())
    depth = int(config["num_hidden_layers"])
    kept = [number for number in range(depth) if number not in layers]
    if not kept or len(kept) != depth - len(layers):
        raise ModelError(
            f"layers {layers.start} to {layers.stop - 1} cannot be left out of {depth}",
            help="name layers that the model has, and leave some",
            where=str(folder),
        )
    target.mkdir(parents=True)
    save_file(_weights(folder, kept), target / "model.safetensors", metadata={"format": "pt"})
    for path in folder.iterdir():
        if path.is_file() and not path.name.endswith((".safetensors", ".safetensors.index.json")):
            shutil.copy(path, target)
    config["num_hidden_layers"] = len(kept)
    for name in _PER_LAYER:
        if config.get(name):
            config[name] = [config[name][number] for number in kept]
    (target / "config.json").write_text(json.dumps(config, indent=1))
    _name_origin(folder, target, layers)


def _weights(folder: Path, kept: list[int]) -> dict[str, Any]:
    places = {number: place for place, number in enumerate(kept)}
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                part = _LAYER.match(name)
                if part is None:
                    found[name] = tensors.get_tensor(name)
                elif int(part[2]) in places:
                    renamed = f"{part[1]}{places[int(part[2])]}{part[3]}"
                    found[renamed] = tensors.get_tensor(name)
    return found


def _name_origin(folder: Path, target: Path, layers: range) -> None:
    path = folder / _ORIGIN
    known = json.loads(path.read_text()) if path.is_file() else {}
    origin = known.get("origin", folder.name)
    known["origin"] = f"{origin} without layers {layers.start} to {layers.stop - 1}"
    (target / _ORIGIN).write_text(json.dumps(known))
