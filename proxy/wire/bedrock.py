"""The formats `bedrock.converse` and `bedrock.invoke`: Amazon Bedrock's two ways to call a model.

Converse is one shape for all models; invoke carries each vendor's own body. Both name the model in the
path, percent-encoded, and stream in Amazon's event-stream framing.
"""

from typing import Literal
from urllib.parse import unquote

from proxy.exchange import Request, RequestHead, ResponseHead
from proxy.wire.bedrock_converse import ConverseAssembly, read_converse
from proxy.wire.bedrock_invoke import InvokeAssembly, read_invoke
from proxy.wire.eventstream import EventStreamDecoder
from proxy.wire.framing import Framing, content_type, framing_of
from proxy.wire.reading import ExchangeReader

__all__ = ["Bedrock", "model_in"]

_SUFFIXES = {
    "converse": {"/converse": False, "/converse-stream": True},
    "invoke": {"/invoke": False, "/invoke-with-response-stream": True},
}
_OTHERS = {"embed": "embedding", "rerank": "rerank"}
"""What models do, by a word in their names, that give no words."""


class Bedrock:
    """Calls of one of the two kinds."""

    def __init__(self, kind: Literal["converse", "invoke"]) -> None:
        self.name = f"bedrock.{kind}"
        self._is_converse = kind == "converse"
        self._suffixes = _SUFFIXES[kind]

    def claims(self, head: RequestHead) -> str | None:
        """`chat`, or `embedding` or `rerank` for a model that does this, for a POST to a model's path."""
        if head.method != "POST" or self._suffix(head.path) is None or not model_in(head.path):
            return None
        return self._operation(head.path)

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        is_streamed = self._suffixes.get(self._suffix(head.path) or "", False)
        blank = Request(
            wire_format=self.name,
            operation=self._operation(head.path),
            model_asked=model_in(head.path) or None,
            is_streamed=is_streamed,
        )
        framing = _stream_of if is_streamed else framing_of
        if self._is_converse:
            return ExchangeReader(
                blank,
                lambda body: read_converse(body, blank),
                ConverseAssembly(),
                framing=framing,
                head=head,
            )
        parts = InvokeAssembly()

        def follow(answer: ResponseHead) -> Framing | None:
            parts.head = answer
            return framing(answer)

        return ExchangeReader(
            blank, lambda body: read_invoke(body, blank), parts, framing=follow, head=head
        )

    def _suffix(self, path: str) -> str | None:
        return next((suffix for suffix in self._suffixes if path.endswith(suffix)), None)

    def _operation(self, path: str) -> str:
        model = "" if self._is_converse else model_in(path)
        return next((said for word, said in _OTHERS.items() if word in model), "chat")


def model_in(path: str) -> str:
    """The model that a path `/model/ID/…` names, decoded; empty where it names none."""
    _, found, rest = path.partition("/model/")
    return unquote(rest.rpartition("/")[0]) if found else ""


def _stream_of(head: ResponseHead) -> Framing | None:
    """The frames of a streamed call; an error is one JSON body, whatever was asked."""
    if head.status < 300 and content_type(head) in ("", "application/vnd.amazon.eventstream"):
        return EventStreamDecoder()
    return framing_of(head)
