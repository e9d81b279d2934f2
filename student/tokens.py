"""Admitted examples to token ids and targets, by the student's own chat template.

Targets are found by prefix tokenisation: the prompt with its generation mark must be the beginning
of the whole conversation, in text and in tokens; what follows, up to the end of the turn, is what
the teacher said. The tokens lie in flat memory-mapped arrays, keyed by all that makes them.
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from student import digest
from student.config import Length
from student.errors import ConfigError, IntakeError, RowError
from student.intake import Admitted, AdmittedExample, Turn
from student.packing import Example

__all__ = ["ChatTokenizer", "MadeRow", "Tokens", "make_row", "tokenise"]

_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "incomplete"})
"""Providers' words for an answer that a limit cut off: it does not teach where to stop."""
_ARRAYS = ("ids", "is_target", "offsets")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTokenizer:
    """A student's tokenizer with a chat template."""

    backend: PreTrainedTokenizerBase
    ends: frozenset[int]
    """The ids that end a turn; in some models the padding id is one of them."""
    digest: str
    """sha256 (hex) of the tokenizer's files."""
    template_digest: str
    """sha256 (hex) of the chat template."""

    def render(self, turns: Sequence[Turn], tools: object, *, opens_answer: bool) -> str:
        """The conversation as text; with `opens_answer`, up to where the answer begins.

        Raises:
            RowError: the template refuses the conversation.
        """
        try:
            backend: Any = self.backend  # its types know messages of plain text only
            return str(
                backend.apply_chat_template(
                    [_as_message(turn) for turn in turns],
                    tools=tools,
                    add_generation_prompt=opens_answer,
                    tokenize=False,
                )
            )
        except (TemplateError, TypeError) as error:
            raise RowError(f"the chat template refuses it: {error}", code="template") from error

    def encode(self, text: str) -> list[int]:
        """The ids of a rendered text; the template has written the special tokens."""
        ids: list[int] = self.backend(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def before_end(self, text: str) -> str:
        """A text up to the first end of a turn."""
        for end in self.ends:
            text = text.partition(str(self.backend.decode([end])))[0]
        return text

    def has_control(self, text: str) -> bool:
        """Whether a text spells one of the tokenizer's special tokens."""
        return any(token and token in text for token in self.backend.all_special_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRow:
    """One example as tokens, and what had to be done for it."""

    example: Example
    is_truncated: bool
    """Old turns of the prompt were left out."""
    is_cut: bool
    """The teacher was cut off by a limit, so the end of the turn is no target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The examples of a dataset as tokens. Shapes: ids[N]; is_target[N]; offsets[E + 1].

    `examples` and `exchanges` name the E examples kept; `counts` says how many were kept, truncated,
    cut and left out by reason; `digest` is the sha256 (hex) over the arrays and names.
    """

    ids: NDArray[np.int32]
    is_target: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    examples: tuple[str, ...]
    exchanges: tuple[str, ...]
    counts: Mapping[str, int]
    digest: str

    def __getitem__(self, index: int) -> Example:
        start, end = int(self.offsets[index]), int(self.offsets[index + 1])
        return Example(ids=self.ids[start:end], is_target=self.is_target[start:end])

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        lengths: list[int] = np.diff(self.offsets).tolist()
        return lengths


def make_row(
    example: AdmittedExample, tokenizer: ChatTokenizer, *, length: Length, row_tokens: int
) -> MadeRow:
    """One example as tokens, with the answer and its end of turn as targets.

    Raises:
        RowError: the example cannot be taught as it is; `code` is the reason.
    """
    _refuse_unteachable(example, tokenizer)
    turns = example.prompt
    made = _encode(example, turns, tokenizer)
    while len(made.ids) > row_tokens:
        turns = _without_oldest(turns) if length is Length.TRUNCATE else ()
        if not turns:
            raise RowError(f"{len(made.ids)} tokens, a row holds {row_tokens}", code="too-long")
        made = _encode(example, turns, tokenizer)
    return MadeRow(
        example=made,
        is_truncated=len(turns) < len(example.prompt),
        is_cut=_is_cut(example),
    )


def tokenise(
    admitted: Admitted, tokenizer: ChatTokenizer, *, length: Length, row_tokens: int, cache: Path
) -> Tokens:
    """The tokens of a dataset, from the cache where the same were made before.

    Raises:
        ConfigError: `length` is `refuse` and an example is longer than a row.
        IntakeError: no example is left.
    """
    key = digest.of_value(
        [admitted.root, tokenizer.digest, tokenizer.template_digest, length, row_tokens]
    )
    folder = cache / f"tokens-{key[:32]}"
    if not folder.exists():
        _write(folder, *_make_all(admitted, tokenizer, length, row_tokens))
    return _read(folder)


@dataclass(frozen=True, slots=True)
class _Kept:
    source: AdmittedExample
    row: MadeRow


def _make_all(
    admitted: Admitted, tokenizer: ChatTokenizer, length: Length, row_tokens: int
) -> tuple[list[_Kept], Counter[str]]:
    kept: list[_Kept] = []
    counts: Counter[str] = Counter()
    for source in admitted.examples:
        try:
            row = make_row(source, tokenizer, length=length, row_tokens=row_tokens)
        except RowError as error:
            if error.code == "too-long" and length is Length.REFUSE:
                raise _too_long(source, error) from error
            counts[f"left out: {error.code}"] += 1
            continue
        kept.append(_Kept(source, row))
        counts.update(kept=1, truncated=row.is_truncated, cut=row.is_cut)
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        raise IntakeError(
            f"no example can be taught to this student ({reasons or 'the dataset is empty'})",
            help="choose a student whose chat template and context fit the dataset",
            code="nothing-to-learn",
        )
    return kept, counts


def _too_long(source: AdmittedExample, error: RowError) -> ConfigError:
    return ConfigError(
        f"example `{source.example}` is too long: {error.message}",
        help="raise `--row-tokens`, or choose `--length drop` or `--length truncate`",
        where=source.example,
        code="too-long",
    )


def _refuse_unteachable(example: AdmittedExample, tokenizer: ChatTokenizer) -> None:
    answer = example.answer
    if not answer.text.strip() and not answer.tool_calls:
        raise RowError("the answer is empty", code="empty")
    if any(turn.has_other_parts for turn in example.prompt):
        raise RowError("the prompt holds more than text", code="other-parts")
    if any(tokenizer.has_control(turn.text) for turn in (*example.prompt, answer)):
        raise RowError("a text spells a special token", code="control-token")


def _encode(example: AdmittedExample, turns: tuple[Turn, ...], tokenizer: ChatTokenizer) -> Example:
    prompt = tokenizer.render(turns, example.tools, opens_answer=True)
    whole = tokenizer.render((*turns, example.answer), example.tools, opens_answer=False)
    _refuse_unrendered(example, turns, tokenizer, prompt, whole)
    opening, ids = tokenizer.encode(prompt), tokenizer.encode(whole)
    if ids[: len(opening)] != opening:
        raise RowError("the prompt's tokens change when the answer follows", code="prefix")
    if len(ids) > 1 and ids[0] == ids[1] == tokenizer.backend.bos_token_id:
        raise RowError("the first token stands twice", code="doubled-bos")
    # What follows the end of the turn belongs to the template; what a limit cut off has no end.
    end = _end_of_turn(ids, len(opening), tokenizer.ends)
    if end == len(opening):
        raise RowError("nothing stands before the end of the turn", code="empty")
    ids = ids[: end if _is_cut(example) else end + 1]
    is_target = np.zeros(len(ids), dtype=np.bool_)
    is_target[len(opening) :] = True
    return Example(ids=np.array(ids, dtype=np.int32), is_target=is_target)


def _refuse_unrendered(
    example: AdmittedExample,
    turns: tuple[Turn, ...],
    tokenizer: ChatTokenizer,
    prompt: str,
    whole: str,
) -> None:
    if not whole.startswith(prompt):
        raise RowError("the template rewrites the prompt when the answer follows", code="prefix")
    said = tokenizer.before_end(whole[len(prompt) :])
    if not all(_is_in(turn, prompt) for turn in turns) or not _is_in(example.answer, said):
        raise RowError("the template leaves out part of it", code="not-in-template")
    if example.tools and prompt == tokenizer.render(turns, None, opens_answer=True):
        raise RowError("the template does not show the tools", code="tools-not-in-template")


def _is_in(turn: Turn, text: str) -> bool:
    return turn.text.strip() in text and all((call.name or "") in text for call in turn.tool_calls)


def _end_of_turn(ids: Sequence[int], start: int, ends: frozenset[int]) -> int:
    places = [place for place in range(start, len(ids)) if ids[place] in ends]
    if len(places) != 1:
        raise RowError(f"{len(places)} ends of turn in the answer", code="end-of-turn")
    return places[0]


def _is_cut(example: AdmittedExample) -> bool:
    return example.finish.lower() in _CUT


def _without_oldest(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The conversation from its second question on, instructions kept; empty if there is none."""
    instructions = tuple(turn for turn in turns if turn.role in {"system", "developer"})
    rest = [turn for turn in turns if turn not in instructions]
    later = next((at for at in range(1, len(rest)) if rest[at].role == "user"), None)
    return () if later is None else (*instructions, *rest[later:])


def _as_message(turn: Turn) -> dict[str, object]:
    message: dict[str, object] = {"role": turn.role, "content": turn.text}
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "type": "function",
                "id": call.id,
                "function": {"name": call.name, "arguments": _parsed(call.arguments)},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    if turn.name is not None:
        message["name"] = turn.name
    return message


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _write(folder: Path, kept: Sequence[_Kept], counts: Mapping[str, int]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    rows = [item.row.example for item in kept]
    arrays = {
        "ids": np.concatenate([row.ids for row in rows]),
        "is_target": np.concatenate([row.is_target for row in rows]),
        "offsets": np.cumsum([0, *(len(row.ids) for row in rows)], dtype=np.int64),
    }
    meta = {
        "examples": [item.source.example for item in kept],
        "exchanges": [item.source.exchange for item in kept],
        "counts": {name: count for name, count in sorted(counts.items()) if count},
    }
    meta["digest"] = _digest(arrays.values(), meta)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".tokens-"))
    for name, array in arrays.items():
        np.save(temporary / f"{name}.npy", array)
    (temporary / "tokens.json").write_text(json.dumps(meta, indent=1))
    try:
        temporary.rename(folder)
    except OSError:  # another process made the same tokens first
        shutil.rmtree(temporary)


def _read(folder: Path) -> Tokens:
    """The cached tokens; a cache that is not what it says is an error, never used."""
    try:
        meta = json.loads((folder / "tokens.json").read_text())
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    except (OSError, ValueError) as error:
        raise _damaged(folder) from error
    written = meta.pop("digest", None)
    if written != _digest(arrays.values(), meta):
        raise _damaged(folder)
    return Tokens(
        **arrays,
        examples=tuple(meta["examples"]),
        exchanges=tuple(meta["exchanges"]),
        counts=meta["counts"],
        digest=written,
    )


def _damaged(folder: Path) -> IntakeError:
    return IntakeError(
        "the cached tokens are not those that were written",
        help="remove the folder: they are made again from the dataset",
        where=str(folder),
        code="token-cache",
    )


def _digest(arrays: Iterable[NDArray[np.generic]], meta: Mapping[str, object]) -> str:
    parts = [digest.of_bytes(np.ascontiguousarray(array).tobytes()) for array in arrays]
    return digest.of_value([meta, parts])
