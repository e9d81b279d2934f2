"""From an exchange and its caller to facts, a decision and what to do: pure.

Facts are those of the catalogue (`policies.facts`). A fact that the wire did not state is left out:
absent is unknown, never harmless.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from policies.bundle import Bundle
from policies.decision import Decision, Hit, Ruling
from policies.model import Effect, Fact, Student
from proxy.clock import stamp
from proxy.exchange import Answer, Choice, Exchange, Request
from proxy.ledger.canonical import MAX_INT
from proxy.ledger.entry import DecisionRecord, FactValue, UsageRecord
from proxy.providers import Entry, model_id

__all__ = [
    "answer_facts",
    "body_facts",
    "facts_at_response",
    "facts_of_leaf",
    "head_facts",
    "leaf_facts",
    "may_train",
    "plain_name",
    "record_of",
    "refusal_message",
    "usage_of",
]


_BRINGING = ("search", "fetch", "grounding", "mcp", "retriev", "url_context")
"""Words in the kinds of tools that bring texts of others into an answer."""
_NAME = re.compile(r"[!-~]{1,200}")
_NOTHING: Mapping[str, Fact] = MappingProxyType({})


def plain_name(text: str | None) -> str | None:
    """A name or id of the wire as a leaf may keep it; None where it is no such word.

    A leaf holds no free text: a name is at most 200 visible ASCII characters.
    """
    return text if text is not None and _NAME.fullmatch(text) else None


def head_facts(
    entry: Entry,
    operation: str,
    *,
    project: str,
    account_id: str | None,
    student: Student | None,
    declared: Mapping[str, Fact] = _NOTHING,
) -> dict[str, Fact]:
    """The facts known before the body is read: where, who, and the stamped student.

    `declared` is what the organisation says of itself and of the account. A router's own contract is the `route` until an answer says whose contract stands behind it.
    """
    facts: dict[str, Fact] = dict(student.facts) if student is not None else {}
    facts |= declared
    facts |= {"route": entry.route, "operation": operation, "project": project}
    if entry.router is not None:
        facts["router"] = entry.router
    if account_id is not None:
        facts["account.id"] = account_id
    return facts


def body_facts(entry: Entry, request: Request) -> dict[str, Fact]:
    """The facts a request body adds: the model asked for and what was asked of it."""
    facts: dict[str, Fact] = {
        "request.system": request.has_system,
        "request.tools": bool(request.tools),
        "request.images": request.has_images,
        "request.logprobs": request.wants_logprobs,
    }
    max_tokens = _count(request.max_tokens)
    if max_tokens is not None:
        facts["request.max_tokens"] = max_tokens
    asked = plain_name(request.model_asked)
    if asked is not None:
        facts["model.asked"] = asked
        canonical = model_id(entry, asked)
        if canonical is not None:
            facts["model.id"] = canonical
    return facts


def answer_facts(entry: Entry, exchange: Exchange) -> dict[str, Fact]:
    """The facts an answer adds or corrects: `model.id` is now the model that answered.

    Behind a router `route` is now the contract of whoever served, where the registry knows the name.

    That nothing was moderated or grounded is known only of an answer read to its end. That it quotes
    nothing word for word is known only where the provider looked, in every choice.
    """
    answer = exchange.answer
    marks = {
        "response.moderated": any(not c.is_models_own for c in answer.choices),
        "response.third_party": any(_is_grounded(c) for c in answer.choices),
    }
    quotes = [c.is_verbatim for c in answer.choices]
    if quotes and (any(quotes) or None not in quotes):
        marks["response.verbatim"] = any(quotes)
    if exchange.request.wants_logprobs:
        marks["response.logprobs"] = any(c.logprobs is not None for c in answer.choices)
    facts: dict[str, Fact] = {k: v for k, v in marks.items() if v or answer.is_complete}
    reasons = {plain_name(choice.finish_reason) for choice in answer.choices}
    reason = reasons.pop() if len(reasons) == 1 else None
    if reason is not None:
        facts["response.finish"] = reason
    tokens = None if answer.usage is None else _count(answer.usage.output)
    if tokens is not None:
        facts["response.tokens"] = tokens
    served = _served(
        entry, plain_name(exchange.request.model_asked), plain_name(answer.model_served)
    )
    return facts | _upstream(entry, answer) | served


def _is_grounded(choice: Choice) -> bool:
    """Whether texts of others came in: cited, or brought by a tool that the provider ran."""
    return choice.has_citations or any(
        word in tool for tool in choice.server_tools for word in _BRINGING
    )


def _upstream(entry: Entry, answer: Answer) -> dict[str, Fact]:
    """The contract behind a router, by the name the answer gives; an unknown name says nothing."""
    if entry.router is None or answer.served_by is None:
        return {}
    route = entry.upstreams.get(answer.served_by)
    return {} if route is None else {"route": route}


def _served(entry: Entry, asked: str | None, served: str | None) -> dict[str, Fact]:
    """`model.served`, `model.id` and `model.substituted`, as far as the answer says who served."""
    asked_id = None if asked is None else model_id(entry, asked)
    if served is None:
        if entry.serves_as_asked and asked_id is not None:
            return {"model.id": asked_id, "model.substituted": False}
        return {}
    served_id = model_id(entry, served)
    facts: dict[str, Fact] = {"model.served": served}
    if served_id is not None:
        facts["model.id"] = served_id
    if asked == served:
        facts["model.substituted"] = False
    elif asked_id is not None and served_id is not None:
        facts["model.substituted"] = asked_id != served_id
    return facts


def facts_at_response(request: Mapping[str, Fact], answer: Mapping[str, Fact]) -> dict[str, Fact]:
    """All facts of an exchange: `model.id` of the asked name never stands for who answered."""
    return {k: v for k, v in request.items() if k != "model.id"} | dict(answer)


def may_train(answer: Answer, problem: str | None) -> bool:
    """Whether an answer is whole enough to be judged at the response gate (P5)."""
    return (
        problem is None
        and answer.is_complete
        and answer.problem is None
        and answer.error is None
        and 200 <= answer.status < 300
        and bool(answer.choices)
    )


def leaf_facts(facts: Mapping[str, Fact]) -> dict[str, FactValue]:
    """Facts as a leaf keeps them: sets become sorted lists."""
    return {k: sorted(v) if isinstance(v, frozenset) else v for k, v in facts.items()}


def facts_of_leaf(facts: Mapping[str, FactValue]) -> dict[str, Fact]:
    """Facts as a decision reads them, from a leaf."""
    return {k: frozenset(v) if isinstance(v, list) else v for k, v in facts.items()}


def usage_of(answer: Answer) -> UsageRecord | None:
    """Token counts as a leaf keeps them."""
    usage = answer.usage
    if usage is None:
        return None
    return UsageRecord(
        input=_count(usage.input),
        output=_count(usage.output),
        total=_count(usage.total),
        cache_read=_count(usage.cache_read),
        cache_write=_count(usage.cache_write),
        reasoning=_count(usage.reasoning),
    )


def _count(number: int | None) -> int | None:
    """A count as a leaf may keep it; what is none was not stated."""
    return number if number is not None and 0 <= number <= MAX_INT else None


def record_of(decision: Decision, bundle: Bundle) -> DecisionRecord:
    """A decision as a leaf keeps it; grants are named by the digests of their files."""
    digests = {grant.id: grant.digest for grant in bundle.grants} if decision.grants else {}
    said = _said_of(decision.ruling)
    exchange_at = stamp(decision.exchange_at)
    is_one_instant = decision.today_at == decision.exchange_at
    return DecisionRecord(
        gate=decision.gate.value,
        verdict=said.verdict,
        bundle=decision.bundle,
        meaning=decision.meaning,
        exchange_at=exchange_at,
        today_at=exchange_at if is_one_instant else stamp(decision.today_at),
        by=said.by,
        silent=said.silent,
        missing=[missing.fact for missing in decision.missing],
        lifted=said.lifted,
        clauses=said.clauses,
        terms=said.terms,
        grants=sorted(digests[name] for name in decision.grants),
        duties=said.duties,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a leaf keeps of a ruling."""

    verdict: Literal["permit", "review", "forbid"]
    by: list[str]
    silent: list[str]
    lifted: list[str]
    clauses: list[str]
    terms: list[str]
    duties: list[str]


@lru_cache(maxsize=1024)
def _said_of(ruling: Ruling) -> _Said:
    """Traffic repeats itself: one ruling stands behind most calls of a project."""
    by = frozenset(ruling.by)
    cites = [(hit.rule, cite) for hit in ruling.hits if hit.rule in by for cite in hit.cites]
    return _Said(
        verdict=ruling.verdict.value,
        by=list(ruling.by),
        silent=[layer.value for layer in ruling.silent],
        lifted=sorted({hit.rule for hit in ruling.hits if hit.lifted_by is not None}),
        clauses=sorted({f"{rule} {cite.source} {cite.clause}" for rule, cite in cites}),
        terms=sorted({cite.digest for _, cite in cites}),
        duties=sorted(f"{duty.kind}: {duty.value}" for duty in ruling.duties),
    )


def refusal_message(decision: Decision, facts: Mapping[str, Fact], exchange: str) -> str:
    """What a refused client reads: what happened, by which rule and clause, and what to do."""
    purpose = facts.get("student.purpose")
    whose = f" for purpose `{purpose}`" if isinstance(purpose, str) else ""
    setting = [hit for hit in decision.hits if hit.rule in decision.by]
    why = [_why(hit) for hit in setting]
    if decision.verdict is Effect.REVIEW:
        head = f"inbond holds this call{whose} until a person has looked at it"
        if decision.missing:
            missing = ", ".join(f"`{m.fact}` ({m.supplied_by})" for m in decision.missing)
            why.insert(0, f"not known: {missing}")
        fix = f"see `inbond review list`; once `{exchange}` is cleared the same call passes"
    else:
        head = f"inbond refused this call{whose}"
        fix = next((hit.fix for hit in setting if hit.fix), "")
    return _one_line(f"{head}: {'; '.join(why)}", fix, f"exchange {exchange}")


def _why(hit: Hit) -> str:
    clauses = ", ".join(f"{cite.source} {cite.clause}" for cite in hit.cites)
    return f"rule `{hit.rule}`{f' ({clauses})' if clauses else ''}: {hit.because.rstrip('. ')}"


def _one_line(*parts: str) -> str:
    words: Iterable[str] = (" ".join(part.split()).rstrip(".") for part in parts)
    return "; ".join(part for part in words if part)
