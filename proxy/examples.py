"""From an admitted exchange to the rows a student learns: one for each choice that is usable. Pure.

A row holds what the model itself said to a prompt that is wholly known as text. All else gives no
row, and a reason.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proxy.ledger.entry import DecisionRecord, SealRecord
from proxy.ledger.example import ExampleRow, texts_of
from proxy.ledger.imported import IMPORTED
from proxy.route import Registry
from proxy.store.records import Candidate

__all__ = ["Examples", "answer_of", "examples_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """The rows of one exchange, or why there are none; `reason` is empty where there are."""

    rows: tuple[ExampleRow, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contract:
    """Who operates a teacher, and what its outputs are licensed by."""

    provider: str
    licence: str


def answer_of(candidate: Candidate) -> SealRecord:
    """The seal of an exchange's reading."""
    answer = candidate.exchange.entry.answer
    assert answer is not None  # noqa: S101 - every complete exchange has a reading
    return answer


def examples_of(
    candidate: Candidate,
    reading: bytes,
    record: DecisionRecord,
    *,
    student: str,
    registry: Registry,
    contributors: tuple[str, ...] = (),
) -> Examples:
    """The rows of an exchange that a dataset gate permits, from its opened reading.

    `contributors` are the sorted ids of all that it rests on.

    Raises:
        BundleError: the reading lacks a choice that it counts.
    """
    document = json.loads(reading)
    request, choices = document["request"], document["answer"]["choices"]
    if not request["is_whole"]:
        return Examples(reason="prompt-in-part")
    if any(message["has_other_parts"] for message in request["messages"]):
        return Examples(reason="prompt-not-text")
    contract = _contract(registry, candidate)
    if contract is None:
        return Examples(reason="teacher-unknown")
    flaws = [_flaw(choice) for choice in choices]
    made = [
        _row(candidate, texts_at=(reading, choice), record=record, student=student, by=contract)
        for choice, flaw in zip(choices, flaws, strict=True)
        if not flaw
    ]
    rows = [replace(row, contributors=contributors) for row in made] if contributors else made
    return Examples(rows=tuple(rows), reason="" if rows else _only(flaws))


def _flaw(choice: Mapping[str, Any]) -> str:
    """Why nobody should learn a choice; empty where one may."""
    if choice["refusal"] is not None:
        return "refusal"
    if not choice["is_models_own"]:
        return "not-models-own"
    return "" if choice["text"] or choice["tool_calls"] else "no-content"


def _only(flaws: Sequence[str]) -> str:
    return flaws[0] if len(set(flaws)) == 1 else "no-usable-choice"


def _contract(registry: Registry, candidate: Candidate) -> _Contract | None:
    """The contract of an exchange; None where the registry knows it no more."""
    facts = candidate.call.entry.facts
    route, source = facts["route"], facts.get("source.name")
    if route == IMPORTED:
        return _Contract(provider=str(source), licence=str(facts["source.licence"]))
    model = candidate.exchange.entry.facts.get("model.id")
    for entry in registry.entries:
        if entry.route == route and (entry.licence is None or model in entry.models.values()):
            licence = entry.licence or f"LicenseRef-terms-{entry.id}"
            word = "" if source is None else f", as source `{source}` declares"
            return _Contract(provider=entry.provider + word, licence=licence)
    return None


def _row(
    candidate: Candidate,
    *,
    texts_at: tuple[bytes, Mapping[str, Any]],
    record: DecisionRecord,
    student: str,
    by: _Contract,
) -> ExampleRow:
    call, exchange = candidate.call.entry, candidate.exchange.entry
    reading, choice = texts_at
    texts = texts_of(reading, choice["index"])
    return ExampleRow(
        example=f"{exchange.id}#{choice['index']}",
        exchange=exchange.id,
        call=call.id,
        choice=choice["index"],
        seq=candidate.exchange.seq,
        project=str(call.facts["project"]),
        student=student,
        provider=by.provider,
        route=str(call.facts["route"]),
        model=str(exchange.facts["model.id"]),
        licence=by.licence,
        finish=choice["finish_reason"] or "",
        messages=texts.messages,
        tools=texts.tools,
        completion=texts.completion,
        logprobs=texts.logprobs,
        sampling=texts.sampling,
        clauses=tuple(record.clauses),
        terms=tuple(record.terms),
        grants=tuple(record.grants),
        duties=tuple(record.duties),
        by=tuple(record.by),
        bundle=record.bundle,
        exchange_at=record.exchange_at,
        decided_at=record.today_at,
        answer_seal=answer_of(candidate).seal,
    )
