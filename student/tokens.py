"""Admitted examples to token ids and targets, by the student's own chat template.

Targets are found by prefix tokenisation: the prompt with its generation mark must be the beginning
of the whole conversation, in text and in tokens; what follows, up to the end of the turn, is what
the teacher said. The tokens lie in flat memory-mapped arrays, keyed by all that makes them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import batched
from pathlib import Path
from typing import NoReturn

import numpy as np

from student import digest
from student.chat import ChatTokenizer
from student.config import Length, Reasoning
from student.errors import ConfigError, IntakeError, RowError
from student.intake import Admitted, AdmittedExample, Turn
from student.packing import Example, Tops
from student.teacher_logprobs import Teachers, tops_of
from student.token_cache import Tokens, read_tokens, write_tokens

__all__ = ["MadeRow", "RowPolicy", "make_row", "tokenise"]

_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "incomplete"})
"""Providers' words for an answer that a limit cut off: it does not teach where to stop."""
_BLOCK = 1_000
"""Examples that are encoded at once."""
_BY_LOGPROBS = "by log-probabilities"
_FORMAT = 3
"""Of the cache: one written otherwise is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRow:
    """One example as tokens, and what had to be done for it."""

    example: Example
    is_truncated: bool
    """Old turns of the prompt were left out."""
    is_cut: bool
    """The teacher was cut off by a limit, so the end of the turn is no target."""
    words_alone: str
    """Why its log-probabilities are not learned; empty where they are, or none were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPolicy:
    """What is made of an example that can be made into a row in several ways."""

    length: Length
    row_tokens: int
    """The most that a row holds."""
    reasoning: Reasoning = Reasoning.DROP
    teachers: Teachers | None = None
    """What is known of the teachers' tokens; None learns from their words alone."""

    def document(self) -> list[object]:
        """The policy as plain values."""
        told = None if self.teachers is None else self.teachers.document()
        return [self.length, self.row_tokens, self.reasoning, told]


def make_row(example: AdmittedExample, tokenizer: ChatTokenizer, policy: RowPolicy) -> MadeRow:
    """One example as tokens, with the answer and its end of turn as targets.

    Raises:
        RowError: the example cannot be taught as it is; `code` is the reason.
    """
    text = _text(example, tokenizer, policy)
    return _row(text, tokenizer.encode_all(text.halves), tokenizer, policy)


def tokenise(
    admitted: Admitted, tokenizer: ChatTokenizer, policy: RowPolicy, cache: Path
) -> Tokens:
    """The tokens of a dataset, from the cache where the same were made before.

    Raises:
        ConfigError: the length policy is `refuse` and an example is longer than a row.
        IntakeError: no example is left.
    """
    made_by = [_FORMAT, tokenizer.digest, tokenizer.template_digest, *policy.document()]
    folder = cache / f"tokens-{digest.of_value([admitted.root, made_by])[:32]}"
    if not folder.exists():
        made = _make_all(admitted, tokenizer, policy)
        write_tokens(
            folder,
            [item.row.example for item in made.kept],
            examples=[item.source.example for item in made.kept],
            exchanges=[item.source.exchange for item in made.kept],
            counts=made.counts,
            left_out=made.left_out,
        )
    return read_tokens(folder)


@dataclass(frozen=True, slots=True)
class _Kept:
    source: AdmittedExample
    row: MadeRow


@dataclass(frozen=True, slots=True)
class _Made:
    kept: list[_Kept]
    left_out: dict[str, str]
    counts: Counter[str]


def _make_all(admitted: Admitted, tokenizer: ChatTokenizer, policy: RowPolicy) -> _Made:
    kept: list[_Kept] = []
    left_out: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for source, made in _rows(admitted.examples, tokenizer, policy):
        try:
            row = made()
        except RowError as error:
            if error.code == "too-long" and policy.length is Length.REFUSE:
                raise _too_long(source, error) from error
            left_out[source.example] = error.code
            counts[f"left out: {error.code}"] += 1
            continue
        kept.append(_Kept(source, row))
        counts.update(kept=1, truncated=row.is_truncated, cut=row.is_cut)
        if row.example.tops is not None:
            counts[_BY_LOGPROBS] += 1
        elif row.words_alone:
            counts[f"words alone: {row.words_alone}"] += 1
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        raise IntakeError(
            f"no example can be taught to this student ({reasons or 'the dataset is empty'})",
            help="choose a student whose chat template and context fit the dataset",
            code="nothing-to-learn",
        )
    return _Made(kept, left_out, counts)


def _rows(
    examples: Iterable[AdmittedExample], tokenizer: ChatTokenizer, policy: RowPolicy
) -> Iterator[tuple[AdmittedExample, Callable[[], MadeRow]]]:
    """Each example with what makes its row; a block of them is encoded at once, on all cores."""
    for block in batched(examples, _BLOCK):
        texts = [_attempt(partial(_text, example, tokenizer, policy)) for example in block]
        halves = [half for text in texts if isinstance(text, _Text) for half in text.halves]
        ids = iter(batched(tokenizer.encode_all(halves), 2))
        for example, text in zip(block, texts, strict=True):
            if isinstance(text, _Text):
                yield example, partial(_row, text, next(ids), tokenizer, policy)
            else:
                yield example, partial(_refuse, text)


def _attempt(work: Callable[[], "_Text"]) -> "_Text | RowError":
    try:
        return work()
    except RowError as error:
        return error


def _refuse(error: RowError) -> NoReturn:
    raise error


def _too_long(source: AdmittedExample, error: RowError) -> ConfigError:
    return ConfigError(
        f"example `{source.example}` is too long: {error.message}",
        help="raise `--row-tokens`, or choose `--length drop` or `--length truncate`",
        where=source.example,
        code="too-long",
    )


def _row(
    text: "_Text", ids: Sequence[list[int]], tokenizer: ChatTokenizer, policy: RowPolicy
) -> MadeRow:
    """The row of a text that was encoded; where it is too long, of less of the text."""
    made, example = _supervised(text, ids, tokenizer), text.source
    while len(made.ids) > policy.row_tokens:
        turns = _without_oldest(text.turns) if policy.length is Length.TRUNCATE else ()
        if not turns:
            problem = f"{len(made.ids)} tokens, a row holds {policy.row_tokens}"
            raise RowError(problem, code="too-long")
        text = _text(example, tokenizer, policy, turns)
        made = _supervised(text, tokenizer.encode_all(text.halves), tokenizer)
    tops, words_alone = _told(example, made, tokenizer, policy)
    return MadeRow(
        example=replace(made, tops=tops),
        is_truncated=len(text.turns) < len(example.prompt),
        is_cut=_is_cut(example),
        words_alone=words_alone,
    )


def _refuse_unteachable(example: AdmittedExample, tokenizer: ChatTokenizer) -> None:
    answer = example.answer
    if not answer.text.strip() and not answer.tool_calls:
        raise RowError("the answer is empty", code="empty")
    if any(turn.has_other_parts for turn in example.prompt):
        raise RowError("the prompt holds more than text", code="other-parts")
    if any(tokenizer.has_control(turn.text) for turn in (*example.prompt, answer)):
        raise RowError("a text spells a special token", code="control-token")


def _told(
    example: AdmittedExample, made: Example, tokenizer: ChatTokenizer, policy: RowPolicy
) -> tuple[Tops | None, str]:
    """What the teacher told of its tokens, or why it is not learned."""
    if policy.teachers is None:
        return None, ""
    targets: list[int] = made.ids[made.is_target].tolist()
    try:
        return tops_of(example, targets, tokenizer.ends, policy.teachers), ""
    except RowError as error:
        return None, error.code


@dataclass(frozen=True, slots=True)
class _Text:
    """An example as the chat template writes it."""

    source: AdmittedExample
    turns: tuple[Turn, ...]
    """Those of the prompt that are in it."""
    halves: tuple[str, str]
    """The prompt up to where the answer begins, and the whole."""


def _text(
    example: AdmittedExample,
    tokenizer: ChatTokenizer,
    policy: RowPolicy,
    turns: tuple[Turn, ...] | None = None,
) -> _Text:
    """An example as text, from these turns of its prompt on; None takes all of them."""
    if turns is None:
        _refuse_unteachable(example, tokenizer)
        turns = example.prompt
    reasoning = example.reasoning if policy.reasoning is Reasoning.KEEP else ""
    if tokenizer.has_control(reasoning):
        raise RowError("the reasoning spells a special token", code="control-token")
    prompt = tokenizer.render(turns, example.tools, opens_answer=True)
    whole = tokenizer.render(
        (*turns, example.answer), example.tools, opens_answer=False, reasoning=reasoning
    )
    _refuse_unrendered(example, turns, tokenizer, prompt, whole)
    if reasoning.strip() not in whole[len(prompt) :]:
        raise RowError("the template does not show the reasoning", code="reasoning-not-in-template")
    return _Text(example, turns, (prompt, whole))


def _supervised(text: _Text, halves: Sequence[list[int]], tokenizer: ChatTokenizer) -> Example:
    opening, ids = halves
    if ids[: len(opening)] != opening:
        raise RowError("the prompt's tokens change when the answer follows", code="prefix")
    if len(ids) > 1 and ids[0] == ids[1] == tokenizer.backend.bos_token_id:
        raise RowError("the first token stands twice", code="doubled-bos")
    # What follows the end of the turn belongs to the template; what a limit cut off has no end.
    end = _end_of_turn(ids, len(opening), tokenizer.ends)
    if end == len(opening):
        raise RowError("nothing stands before the end of the turn", code="empty")
    ids = ids[: end if _is_cut(text.source) else end + 1]
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
