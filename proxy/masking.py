"""Texts in JSON, by their paths, and the same JSON with places of them masked: pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from proxy.exchange import Json

__all__ = ["Place", "Span", "masked", "masked_text", "texts_in"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A part of a text, `start` to before `end`, and what was seen there."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Place:
    """A text in a document: its JSON path, such as `$.messages[0].content`."""

    path: str
    text: str


def texts_in(value: Json, at: str = "$") -> Iterator[Place]:
    """Every text that is a value, in order; keys are names of the format, and are not given."""
    if isinstance(value, str):
        yield Place(at, value)
    elif isinstance(value, list):
        for position, entry in enumerate(value):
            yield from texts_in(entry, f"{at}[{position}]")
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from texts_in(entry, f"{at}.{key}")


def masked_text(text: str, spans: tuple[Span, ...]) -> str:
    """A text whose spans read `[KIND]`; those that overlap are one, named by the first."""
    parts: list[str] = []
    done = 0
    for span in sorted(spans):
        if span.start >= done:
            parts += [text[done : span.start], f"[{span.kind}]"]
        done = max(done, span.end)
    return "".join([*parts, text[done:]])


def masked(value: Json, spans: Mapping[str, tuple[Span, ...]]) -> Json:
    """The same document with each text masked where its spans say, wherever it stands."""
    if isinstance(value, str):
        found = spans.get(value)
        return value if found is None else masked_text(value, found)
    if isinstance(value, list):
        return [masked(entry, spans) for entry in value]
    if isinstance(value, dict):
        return {key: masked(entry, spans) for key, entry in value.items()}
    return value
