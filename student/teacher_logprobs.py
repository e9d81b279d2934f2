"""What a teacher told of its choice of tokens, where a student can learn it token by token.

A row qualifies where nothing has to be guessed: the teacher's tokenizer is the student's, the answer
re-tokenises to exactly the tokens that were told, and it is known what was done to the distribution.
A row that does not qualify is learned from its words alone, and counted with the reason.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from student.errors import ConfigError, RowError
from student.intake import AdmittedExample
from student.objective import Objective
from student.packing import Tops
from student.vocabulary import Vocabulary, vocabulary_of

__all__ = ["Teachers", "load_teachers", "tops_of"]

_TRUNCATING = frozenset({"min_p", "top_k", "top_p", "typical_p", "top_a"})
"""Bends that leave alone what is stated from before the temperature."""
_ROUNDING = 0.01
"""By how much told probabilities may add up to more than one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teachers:
    """What is known of the teachers' tokens, beside a student's."""

    objective: Objective
    own: Vocabulary | None
    """The student's."""
    vocabularies: Mapping[str, str | None]
    """The digest of each named teacher's vocabulary, by model."""

    def document(self) -> list[object]:
        """All that decides what is taken from log-probabilities, as plain values."""
        rules = [[rule.model, rule.temperature, rule.share] for rule in self.objective.rules]
        stated = [sorted(self.objective.raw), sorted(self.objective.scaled)]
        return [self.objective.share, rules, stated, dict(self.vocabularies)]


def load_teachers(objective: Objective, backend: Any) -> Teachers:
    """The teachers whose tokenizers are named, beside the student's tokenizer.

    Raises:
        ConfigError: a named folder holds no tokenizer.
    """
    return Teachers(
        objective=objective,
        own=vocabulary_of(backend) if objective.tokenizers else None,
        vocabularies={
            model: _digest(model, folder) for model, folder in objective.tokenizers.items()
        },
    )


def tops_of(
    example: AdmittedExample, targets: Sequence[int], ends: frozenset[int], teachers: Teachers
) -> Tops | None:
    """What the teacher told about the first of an answer's target ids; None where nothing was asked.

    Raises:
        RowError: what it told cannot be learned token by token; `code` is the reason.
    """
    sampling: dict[str, Any] = json.loads(example.sampling)
    if example.logprobs is None:
        if sampling["wants_logprobs"]:
            raise RowError(
                "log-probabilities were asked for, and none came", code="asked-none-came"
            )
        return None
    terms = _terms(example.model, sampling, teachers)
    if not terms.share:
        return None
    told = _told(example.logprobs, sampling["wire_format"])
    return _matched(told, [*targets], ends, terms)


@dataclass(frozen=True, slots=True)
class _Terms:
    """On what an answer's log-probabilities may be learned."""

    share: float
    temperature: float
    """What the student's logits are divided by."""
    vocabulary: Vocabulary


@dataclass(frozen=True, slots=True)
class _Told:
    """One position: the token that was chosen and the likeliest ones, with log-probabilities."""

    chosen: bytes
    tops: Mapping[bytes, float]


def _terms(model: str, sampling: Mapping[str, Any], teachers: Teachers) -> _Terms:
    objective, own = teachers.objective, teachers.own
    if model not in teachers.vocabularies or own is None:
        raise RowError(f"the tokenizer of `{model}` is not named", code="tokenizer-unknown")
    if teachers.vocabularies[model] != own.digest:
        raise RowError("the teacher's tokenizer is another", code="tokenizer-differs")
    temperature, bends = sampling["temperature"], sampling["bent_by"]
    if temperature is None or bends is None:
        raise RowError("it is not known how tokens were chosen", code="temperature-unknown")
    if not _TRUNCATING.issuperset(bends) or (bends and model not in objective.raw):
        raise RowError(f"the choice was bent by {', '.join(bends)}", code="bent")
    if temperature != 1 and model not in objective.raw | objective.scaled:
        raise RowError(
            "it is not known whether the temperature is in them", code="temperature-unclear"
        )
    is_scaled = model in objective.scaled
    if is_scaled and not temperature > 0:
        raise RowError("at temperature 0 nothing but the choice is left", code="greedy")
    return _Terms(
        share=objective.share_of(model, float(temperature)),
        temperature=float(temperature) if is_scaled else 1.0,
        vocabulary=own,
    )


def _told(text: str, wire_format: str | None) -> list[_Told]:
    read = _READERS.get(wire_format or "")
    if read is None:
        raise RowError(f"log-probabilities of `{wire_format}` are not read", code="format-unread")
    try:
        told = read(json.loads(text))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RowError("the log-probabilities cannot be read", code="unreadable") from error
    if not any(each.tops.keys() - {each.chosen} for each in told):
        raise RowError("no more than the chosen tokens was told", code="no-top-logprobs")
    if not all(_is_distribution(each.tops.values()) for each in told):
        raise RowError("what was told is no distribution", code="no-distribution")
    return told


def _is_distribution(logprobs: Any) -> bool:
    values = [*logprobs]
    return not any(map(math.isnan, values)) and sum(map(math.exp, values)) <= 1 + _ROUNDING


def _openai(entries: list[dict[str, Any]]) -> list[_Told]:
    """Entries as OpenAI's chat, its Responses and Ollama write them."""
    return [
        _Told(
            _bytes(entry),
            {
                _bytes(each): float(each["logprob"])
                for each in chain(entry.get("top_logprobs") or (), [entry])
            },
        )
        for entry in entries
    ]


def _gemini(results: list[dict[str, Any]]) -> list[_Told]:
    """`logprobsResult`, of a stream one in each piece."""
    told = []
    for result in results:
        chosen = result["chosenCandidates"]
        tops = result.get("topCandidates") or [{} for _ in chosen]
        for one, others in zip(chosen, tops, strict=True):
            candidates = chain(others.get("candidates") or (), [one])
            said = {each["token"].encode(): float(each["logProbability"]) for each in candidates}
            told.append(_Told(one["token"].encode(), said))
    return told


_READERS: dict[str, Callable[[Any], list[_Told]]] = {
    "gemini.generateContent": _gemini,
    "ollama.chat": _openai,
    "openai.chat": _openai,
    "openai.responses": _openai,
}


def _bytes(entry: Mapping[str, Any]) -> bytes:
    stated = entry.get("bytes")
    return str(entry["token"]).encode() if stated is None else bytes(stated)


def _matched(
    told: Sequence[_Told], targets: Sequence[int], ends: frozenset[int], terms: _Terms
) -> Tops:
    """What was told, as ids; the end of the turn is a target whether or not it was told."""
    spelled = terms.vocabulary.spelled
    words = [spelled[each] for each in targets]
    said = [each.chosen for each in told]
    if said not in (words, words[:-1] if targets and targets[-1] in ends else words):
        raise RowError("the answer re-tokenises to other tokens", code="tokens-differ")
    rows = [_ids(each, target, terms) for each, target in zip(told, targets, strict=False)]
    width = max(map(len, rows))
    filled = [[*row.items(), *[(next(iter(row)), -math.inf)] * (width - len(row))] for row in rows]
    return Tops(
        ids=np.array([[index for index, _ in row] for row in filled], dtype=np.int64),
        logprobs=np.array([[value for _, value in row] for row in filled], dtype=np.float32),
        share=np.full(len(rows), terms.share, dtype=np.float32),
        temperature=np.full(len(rows), terms.temperature, dtype=np.float32),
    )


def _ids(told: _Told, target: int, terms: _Terms) -> dict[int, float]:
    """The log-probability of each id; a spelling that several ids share stays in the tail."""
    found = {target: told.tops[told.chosen]}
    for each, logprob in told.tops.items():
        if each not in terms.vocabulary.ids:
            raise RowError("the teacher told of a token that is none", code="token-unknown")
        index = terms.vocabulary.ids[each]
        if index is not None:
            found.setdefault(index, logprob)
    return found


def _digest(model: str, folder: str) -> str | None:
    try:
        backend = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"`{folder}` holds no tokenizer of `{model}`: {str(error).strip().partition(chr(10))[0]}",
            help="give the folder of the teacher's own tokenizer, with its `tokenizer.json`",
            where="teacher_tokenizers",
        ) from error
    found = vocabulary_of(backend)
    return None if found is None else found.digest
