"""Load, call and save the student: any causal model of a local folder, in safetensors only."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from student import digest
from student.chat import ChatTokenizer
from student.errors import ModelError
from student.folders import file_digests, licence, local_folder, origin, refuse_unsafe, unusable
from student.losses import Likeliest, Supervision, nll
from student.packing import Example, Row, join

__all__ = [
    "Base",
    "Student",
    "hidden_states",
    "load_student",
    "output_head",
    "probe",
    "save_student",
    "supervision",
]


_AUTO: Any = AutoModelForCausalLM  # its types leave out what from_pretrained returns on request
_TOKENIZER_FILES = (
    "added_tokens.json", "chat_template.jinja", "merges.txt", "special_tokens_map.json",
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
)  # fmt: skip
_PROBE_TOKENS = 48


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
    """sha256 (hex) by name of every file that makes the model and its tokenizer; none of a bare one,
    whose weights another process has read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A loaded student: fp32 weights, its tokenizer, and where both come from."""

    model: PreTrainedModel
    tokenizer: ChatTokenizer
    base: Base


def load_student(spec: str, cache: Path, device: str = "cpu", *, is_bare: bool = False) -> Student:
    """The student of a local folder, or of `package:NAME` by way of a folder in `cache`.

    `is_bare` leaves the weights out: the model is on the meta device, and another process that has
    them hands them out.

    Raises:
        ModelError: the folder holds no causal model in safetensors, brings code of its own, or has
            no chat template.
    """
    folder = local_folder(spec, cache)
    refuse_unsafe(folder)
    try:
        model = _bare_model(folder) if is_bare else _model(folder, spec, device)
        tokenizer = _chat_tokenizer(folder, model)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise unusable(spec, str(error).strip().partition("\n")[0]) from error
    base = Base(
        spec=spec,
        origin=origin(folder),
        licence=licence(folder),
        files={} if is_bare else file_digests(folder),
    )
    return Student(model=model, tokenizer=tokenizer, base=base)


def save_student(
    model: PreTrainedModel,
    tokenizer: ChatTokenizer,
    folder: Path,
    weights: Mapping[str, Tensor] | None = None,
) -> dict[str, str]:
    """Write a student as a plain model folder, all or nothing; the files' sha256 (hex) by name.

    `weights`, by name, are written in place of the model's own: those of a sharded model, or with
    an adapter merged.

    Raises:
        ModelError: it cannot be written.
    """
    temporary = folder.parent / f".{folder.name}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        model.save_pretrained(temporary, state_dict=None if weights is None else dict(weights))
        tokenizer.backend.save_pretrained(temporary)
        shutil.rmtree(folder, ignore_errors=True)  # one a kill left behind before it was recorded
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise ModelError(
            f"the student cannot be written: {error}",
            help="free some space; what was learned is in the run's snapshots: go on with `--resume`",
            where=str(folder),
            code="student-unwritten",
        ) from error
    return file_digests(folder)


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
    tops = row.tops
    return Supervision(
        positions=torch.from_numpy(row.supervised).to(device),
        targets=torch.from_numpy(row.targets).to(device),
        likeliest=None
        if tops is None
        else Likeliest(
            ids=torch.from_numpy(tops.ids).to(device),
            logprobs=torch.from_numpy(tops.logprobs).to(device),
            share=torch.from_numpy(tops.share).to(device),
            temperature=torch.from_numpy(tops.temperature).to(device),
        ),
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


def _model(folder: Path, spec: str, device: str) -> PreTrainedModel:
    model, loading = _AUTO.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="sdpa",
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    absent = sorted({*loading["missing_keys"], *loading["mismatched_keys"]}, key=str)
    if absent:  # transformers would fill them at random and only log it
        raise unusable(spec, f"its weights lack `{absent[0]}`")
    placed: PreTrainedModel = model.to(device)
    return placed


def _bare_model(folder: Path) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model: PreTrainedModel = _AUTO.from_config(
            config, dtype=torch.float32, attn_implementation="sdpa", trust_remote_code=False
        )
    return model


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
