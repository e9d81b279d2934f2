"""The format `gemini.generateContent`: Google's own interface, at the Gemini API and at Vertex AI.

The model stands in the path. A stream is server-sent events where `alt=sse` was asked, and one JSON array
in pieces otherwise; neither has a terminal frame: the answer is whole when a reason to end was given and
the connection ended in order.
"""

import re
from urllib.parse import unquote

from proxy.exchange import Request, RequestHead, ResponseHead
from proxy.wire.framing import Framing, content_type, framing_of
from proxy.wire.gemini_answer import GeminiAssembly
from proxy.wire.gemini_request import read_generate
from proxy.wire.jsonlines import ArrayDecoder
from proxy.wire.plain import Plain
from proxy.wire.reading import ExchangeReader
from proxy.wire.sse import SSEDecoder

__all__ = ["Gemini", "Silent"]

_CALL = re.compile(
    r"/((?:projects/.+/)?(?:tuned)?[mM]odels/[^/:]+|projects/.+/endpoints/[^/:]+):(\w+)$"
)
_METHODS = {"generateContent": False, "streamGenerateContent": True}


class Gemini:
    """`:generateContent` and `:streamGenerateContent`."""

    name = "gemini.generateContent"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a POST to one of the two methods of a model."""
        found = _CALL.search(head.path)
        is_ours = head.method == "POST" and found is not None and found[2] in _METHODS
        return "chat" if is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        found = _CALL.search(head.path)
        is_streamed = found is not None and _METHODS.get(found[2], False)
        blank = Request(
            wire_format=self.name,
            operation="chat",
            model_asked=None if found is None else _model(found[1]),
            is_streamed=is_streamed,
        )

        def framing(answer: ResponseHead) -> Framing | None:
            if is_streamed and content_type(answer) in ("", "application/json"):
                return SSEDecoder() if "alt=sse" in head.query else ArrayDecoder()
            return framing_of(answer)

        return ExchangeReader(
            blank, lambda body: read_generate(body, blank), GeminiAssembly(), framing=framing
        )


class Silent(Plain):
    """Methods of a model that answer without its words."""

    def __init__(self, operation: str, methods: frozenset[str]) -> None:
        super().__init__(operation, method="POST", suffixes=())
        self._methods = methods

    def claims(self, head: RequestHead) -> str | None:
        """The operation, for a POST to one of these methods."""
        found = _CALL.search(head.path)
        is_ours = head.method == "POST" and found is not None and found[2] in self._methods
        return self._operation if is_ours else None


def _model(resource: str) -> str:
    """The name of a model, as callers write it: `models/` in front says nothing."""
    name = unquote(resource)
    return name.rpartition("/models/")[2].removeprefix("models/")
