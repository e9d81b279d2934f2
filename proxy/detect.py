"""Detectors: what a text holds that its format does not say, such as personal data or a secret.

A detector is one small object behind `Detector`, and works in threads of its own. What was not
scanned, or not in time, stays unknown: a rule that asks about it then waits for a person.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol

import structlog

from proxy.exchange import Answer, Json, Request
from proxy.masking import Place, Span, texts_in

__all__ = ["NOTHING_SEEN", "Detector", "Detectors", "Kind", "Sighting", "kind_of"]

_LOG = structlog.get_logger("inbond.detect")

type Kind = Literal["pii", "secret"]

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {"pii": "pii", "personal-data": "pii", "secret": "secret", "secrets": "secret"}
)
_THREADS = 4
_MEDIUM = re.compile(rb"(?im)^content-type: *(?:audio|image|video)/")
_MEDIA = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.=+-]+)*;base64,[\w+/=\s-]*")
"""The address of a picture or a sound that is its bytes: no text (RFC 2397)."""


def kind_of(word: str) -> Kind | None:
    """What a `redact` duty names; None where no detector looks for it."""
    return _KINDS.get(word.strip().lower())


class Detector(Protocol):
    """Finds one kind of thing in a text; called from threads."""

    def find(self, text: str) -> Iterable[tuple[int, int]]:
        """Where it stands: start, and the place after its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was seen in a request or an answer; `kinds` are those that were looked for to the end."""

    kinds: frozenset[Kind] = frozenset()
    paths: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    """The JSON paths of texts that hold each kind."""
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    """By text: where it holds what."""

    def facts(self, gate: Literal["request", "response"]) -> dict[str, bool]:
        """The facts of the catalogue; what was not looked for to the end is left out."""
        return {f"{gate}.{kind}": bool(self.paths.get(kind)) for kind in self.kinds}

    def only(self, kinds: frozenset[Kind]) -> Mapping[str, tuple[Span, ...]]:
        """The spans of some kinds, by text."""
        chosen = {
            text: tuple(span for span in spans if span.kind in kinds)
            for text, spans in self.spans.items()
        }
        return {text: spans for text, spans in chosen.items() if spans}


NOTHING_SEEN = Sighting()


class Detectors:
    """The detectors that are switched on, one for each kind."""

    def __init__(self, by_kind: Mapping[Kind, Detector], *, timeout_s: float) -> None:
        """`timeout_s` bounds the look at one request or answer."""
        self._by_kind = by_kind
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(_THREADS, "detector") if by_kind else None

    @property
    def is_on(self) -> bool:
        """Whether there is any."""
        return self._threads is not None

    async def in_request(self, body: bytes, request: Request) -> Sighting:
        """Look at every text of a request's body (decoded): JSON, lines of it, or a form.

        Of any other body the messages are looked at; where none were read, nothing was seen.
        """
        if not self.is_on:
            return NOTHING_SEEN
        return await self._look(lambda: _texts_of(body, request))

    async def in_answer(self, answer: Answer) -> Sighting:
        """Look at all that a teacher said."""
        if not self.is_on:
            return NOTHING_SEEN
        return await self._look(lambda: list(_said(answer)))

    async def _look(self, places: "_Places") -> Sighting:
        assert self._threads is not None  # noqa: S101 - asked by those who know that there are any
        deadline = time.monotonic() + self._timeout_s
        loop = asyncio.get_running_loop()
        kinds = list(self._by_kind)
        try:
            async with asyncio.timeout(self._timeout_s):
                texts = await loop.run_in_executor(self._threads, places)
                if texts is None:
                    return NOTHING_SEEN
                looks = [
                    loop.run_in_executor(self._threads, self._find, kind, texts, deadline)
                    for kind in kinds
                ]
                found = await asyncio.gather(*looks, return_exceptions=True)
        except TimeoutError:
            _LOG.warning("detectors took too long", timeout_s=self._timeout_s)
            return NOTHING_SEEN
        return _together(dict(zip(kinds, found, strict=True)))

    def _find(self, kind: Kind, texts: Sequence[Place], deadline: float) -> "_Found":
        found: dict[Place, tuple[Span, ...]] = {}
        for place in texts:
            if time.monotonic() > deadline:
                raise TimeoutError
            spans = tuple(Span(a, b, kind) for a, b in self._by_kind[kind].find(place.text))
            if spans:
                found[place] = spans
        return found

    def close(self) -> None:
        """Let go of the threads; what still looks is not waited for."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


class _Places(Protocol):
    def __call__(self) -> Sequence[Place] | None: ...


type _Found = Mapping[Place, tuple[Span, ...]]


def _together(found: Mapping[Kind, _Found | BaseException]) -> Sighting:
    """One sighting of all kinds; a detector that broke saw nothing, and is not counted as clean."""
    kinds: set[Kind] = set()
    paths: dict[Kind, tuple[str, ...]] = {}
    spans: dict[str, tuple[Span, ...]] = {}
    for kind, seen in found.items():
        if isinstance(seen, BaseException):
            # Its words may quote the text.
            _LOG.warning("a detector broke", kind=kind, error=type(seen).__name__)
            continue
        kinds.add(kind)
        paths[kind] = tuple(place.path for place in seen)
        for place, there in seen.items():
            spans[place.text] = (*spans.get(place.text, ()), *there)
    unique = {text: tuple(sorted(set(there))) for text, there in spans.items()}
    return Sighting(kinds=frozenset(kinds), paths=paths, spans=unique)


def _texts_of(body: bytes, request: Request) -> Sequence[Place] | None:
    """The texts of a body; None: it cannot be looked at."""
    found = _in_json(body)
    if found is None and request.messages:
        return [*_in_messages(request)]
    return _in_form(body) if found is None else found


def _in_json(body: bytes) -> list[Place] | None:
    """The texts of a document, or of one on each line; None: it is neither."""
    try:
        docs = [_DECODER.decode(body.decode())] if body.strip() else []
    except (ValueError, RecursionError):
        try:
            docs = [_DECODER.decode(line.decode()) for line in body.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            return None
    places = (place for doc in docs for place in texts_in(doc))
    return [place for place in places if not _MEDIA.fullmatch(place.text)]


def _every(pairs: list[tuple[str, Json]]) -> Json:
    """An object; where a key stands twice, all its values: none hides behind another."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else [value for _, value in pairs]


_DECODER = json.JSONDecoder(object_pairs_hook=_every)


def _in_messages(request: Request) -> Iterable[Place]:
    for position, message in enumerate(request.messages):
        at = f"$.messages[{position}]"
        yield Place(at, message.text)
        for place, call in enumerate(message.tool_calls):
            yield Place(f"{at}.tool_calls[{place}].arguments", call.arguments)


def _in_form(body: bytes) -> list[Place] | None:
    """The parts of a form; None: it is none, or one is neither text nor a medium."""
    if not body.startswith(b"--"):
        return None
    found: list[Place] = []
    for position, part in enumerate(body.split(b"\r\n" + body.partition(b"\r\n")[0])):
        try:
            found.append(Place(f"$[{position}]", part.decode()))
        except UnicodeDecodeError:
            if not _MEDIUM.search(part.partition(b"\r\n\r\n")[0]):
                return None
    return found


def _said(answer: Answer) -> Iterable[Place]:
    for choice in answer.choices:
        at = f"$.choices[{choice.index}]"
        yield Place(f"{at}.text", choice.text)
        yield Place(f"{at}.reasoning", choice.reasoning)
        yield Place(f"{at}.refusal", choice.refusal or "")
        for position, call in enumerate(choice.tool_calls):
            yield Place(f"{at}.tool_calls[{position}].arguments", call.arguments)
