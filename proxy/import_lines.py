"""The lines of a file of examples: chats that end with the turn to learn. Pure but for the reading.

The file is JSONL, one object a line with `messages` as chat APIs take them, maybe `tools`, and maybe
`finish_reason`: why a teacher's answer ended. What else a line holds is sealed with it, and not
learned from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path

from proxy.errors import LedgerError, WireError
from proxy.exchange import Answer, Choice, Exchange, Json, Request
from proxy.wire.document import compact, read_object, text
from proxy.wire.openai_request import read_request

__all__ = ["MAX_LINE_BYTES", "ImportLine", "Surveyed", "digest_of", "read_lines", "survey"]

MAX_LINE_BYTES = 16 * 2**20
"""No line longer than this is read."""
_FORMAT = "import.chat"
_FILTERED = frozenset(
    {
        "blocklist",
        "content_filter",
        "content_filtered",
        "guardrail_intervened",
        "prohibited_content",
        "recitation",
        "refusal",
        "safety",
        "spii",
    }
)
"""Why an answer ended that is not the model's own, as providers say it, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLine:
    """One example of a file."""

    number: int
    """Counts from 1."""
    data: bytes
    """The line itself, without its end."""
    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """What a file holds."""

    digest: str
    """sha256 (hex) of the file."""
    lines: int


def survey(path: Path) -> Surveyed:
    """Read a file to its end: every line can be imported.

    Raises:
        LedgerError: a line cannot, or there is none; `where` is the file and the line.
        OSError: the file cannot be read.
    """
    count = sum(1 for _ in read_lines(path))
    if not count:
        raise _wrong("the file holds no example", str(path))
    return Surveyed(digest=digest_of(path), lines=count)


def digest_of(path: Path) -> str:
    """sha256 (hex) of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def read_lines(path: Path, *, model: str | None = None) -> Iterator[ImportLine]:
    """The examples of a file, one at a time; `model` is the name of who is said to have answered.

    Raises:
        LedgerError: a line is no chat that ends with an assistant's turn.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        number = 0
        while data := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            where = f"{path}:{number}"
            if len(data) > MAX_LINE_BYTES:
                raise _wrong(f"the line is longer than {MAX_LINE_BYTES} bytes", where)
            if data.strip():
                yield _read(data.rstrip(b"\r\n"), number, where, model)


def _read(data: bytes, number: int, where: str, model: str | None) -> ImportLine:
    try:
        document = read_object(data, of="the line")
        # The reader of chats asks for a model's name: the line need not have one.
        body = {"model": model or "none", "messages": document.get("messages")}
        if document.get("tools") is not None:
            body["tools"] = document["tools"]
        request = read_request(compact(body).encode("utf-8", "backslashreplace"))
        finish, refusal = text(document, "finish_reason"), _refusal(document["messages"])
    except WireError as error:
        raise _wrong(error.message, where) from error
    found = _exchange(request, where, model)
    last = replace(
        found.answer.choices[0],
        finish_reason=finish,
        refusal=refusal,
        is_models_own=(finish or "").casefold() not in _FILTERED,
    )
    exchange = replace(found, answer=replace(found.answer, choices=(last,)))
    return ImportLine(number=number, data=data, exchange=exchange)


def _refusal(messages: Json) -> str | None:
    """What the last turn refuses with, in the field that chat APIs have for it."""
    last = messages[-1] if isinstance(messages, list) and messages else None
    return text(last, "refusal") if isinstance(last, dict) else None


def _exchange(request: Request, where: str, model: str | None) -> Exchange:
    if any(message.has_other_parts for message in request.messages):
        raise _wrong("a message holds more than text, which no student learns", where)
    if len(request.messages) < 2:
        raise _wrong("the line has no turn before the one to learn", where)
    *prompt, last = request.messages
    if last.role != "assistant" or not (last.text or last.tool_calls):
        raise _wrong("the last message is no turn of an assistant that says something", where)
    choice = Choice(index=0, text=last.text, tool_calls=last.tool_calls)
    return Exchange(
        request=replace(
            request,
            wire_format=_FORMAT,
            model_asked=model,
            messages=tuple(prompt),
            is_streamed=False,
        ),
        answer=Answer(status=200, model_served=model, choices=(choice,), is_complete=True),
    )


def _wrong(message: str, where: str) -> LedgerError:
    return LedgerError(
        message,
        help='write one object a line, such as {"messages": [{"role": "user", "content": "…"}, '
        '{"role": "assistant", "content": "…"}]}',
        where=where,
        code="bad-import-line",
    )
