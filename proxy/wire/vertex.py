"""Models of other vendors at Vertex AI: the vendor's own format, with the model in the path.

The path is `…/publishers/anthropic/models/MODEL:rawPredict`, or `:streamRawPredict`; the body has
`anthropic_version` in place of a model (Anthropic's documentation, "Claude on Vertex AI"). Errors are
Anthropic's, or Google's where Vertex itself refuses.
"""

import re
from dataclasses import replace
from urllib.parse import unquote

from proxy.exchange import Request, RequestHead
from proxy.wire.anthropic_answer import MessageAssembly
from proxy.wire.anthropic_request import read_count_tokens, read_request
from proxy.wire.document import Object, compact, read_object
from proxy.wire.gemini_answer import google_error
from proxy.wire.gemini_framing import END, google_framing
from proxy.wire.openai_answer import ChatAssembly
from proxy.wire.openai_request import read_request as read_chat
from proxy.wire.plain import Plain
from proxy.wire.reading import ExchangeReader
from proxy.wire.sse import Event

__all__ = ["VertexChat", "VertexCount", "VertexMessages"]

_CALL = re.compile(r"/publishers/anthropic/models/([^/:]+):(rawPredict|streamRawPredict)$")
_OTHER_CALL = re.compile(
    r"/publishers/(?:ai21|deepseek-ai|meta|minimaxai|mistralai|moonshotai|openai|qwen|xai|zai-org)"
    r"/models/([^/:]+):(rawPredict|streamRawPredict)$"
)
"""Vendors whose models are known to speak Chat Completions there; no other is read by guess."""
_COUNT = "count-tokens"
"""Where a model's name stands otherwise, for counting the tokens of a prompt."""


class VertexMessages:
    """Messages: JSON, or server-sent events that end in `message_stop`."""

    name = "anthropic.messages"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a POST to one of Anthropic's models."""
        found = _CALL.search(head.path)
        is_ours = head.method == "POST" and found is not None and found[1] != _COUNT
        return "chat" if is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        found = _CALL.search(head.path)
        model = None if found is None else unquote(found[1])
        is_streamed = found is not None and found[2] == "streamRawPredict"
        blank = Request(
            wire_format=self.name, operation="chat", model_asked=model, is_streamed=is_streamed
        )

        def read(body: bytes) -> Request:
            doc = read_object(body, of="the request body")
            request = read_request(compact({**doc, "model": model}).encode())
            return replace(request, is_streamed=is_streamed or request.is_streamed)

        return ExchangeReader(
            blank,
            read,
            _Assembly(),
            head=head,
            framing=lambda answer: google_framing(answer, is_streamed=False),
        )


class VertexChat:
    """Models of other vendors that speak Chat Completions at the same methods, such as Mistral's."""

    name = "openai.chat"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a POST to a model of one of these vendors."""
        found = _OTHER_CALL.search(head.path)
        return "chat" if head.method == "POST" and found is not None else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        found = _OTHER_CALL.search(head.path)
        model = None if found is None else unquote(found[1])
        is_streamed = found is not None and found[2] == "streamRawPredict"
        blank = Request(
            wire_format=self.name, operation="chat", model_asked=model, is_streamed=is_streamed
        )
        parts = ChatAssembly()

        def read(body: bytes) -> Request:
            request = read_chat(body, deployment=model)
            parts.wanted = request.n
            return replace(request, is_streamed=is_streamed or request.is_streamed)

        return ExchangeReader(blank, read, parts, head=head)


class VertexCount(Plain):
    """Counting the tokens of a prompt for one of Anthropic's models, which the body names."""

    def __init__(self) -> None:
        suffix = f"/publishers/anthropic/models/{_COUNT}:rawPredict"
        super().__init__(_COUNT, method="POST", suffixes=(suffix,), read=read_count_tokens)


class _Assembly(MessageAssembly):
    """Puts a message together, or takes the error of either of the two who may refuse."""

    def event(self, event: Event) -> None:
        """Take one event of a stream, or the body of an error in whatever frame it comes.

        Raises:
            WireError: it is no event of a message, or not in its place.
        """
        if event == END:
            return
        if '"error"' in event.data:  # most events are parsed once
            doc = read_object(event.data, of="an event of the stream")
            if doc.get("error") is not None:
                self.document(doc)
                return
        super().event(event)

    def document(self, doc: Object) -> None:
        """Take the whole message, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if doc.get("type") is None and doc.get("error") is not None:
            self.error = google_error(doc)
        else:
            super().document(doc)
