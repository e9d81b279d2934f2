"""The format `gemini.generateContent`: Google's own interface, at the Gemini API and at Vertex AI.

The model stands in the path. A stream is server-sent events where `alt=sse` was asked, and one JSON array
in pieces otherwise. Events have no terminal frame: such an answer is whole when every candidate has a
reason to end and the connection ended in order. An array is whole only with its closing bracket.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote

from proxy.exchange import Request, RequestHead
from proxy.wire.gemini_answer import GEMINI_REASONS, VERTEX_REASONS, GeminiAssembly
from proxy.wire.gemini_framing import google_framing
from proxy.wire.gemini_request import read_generate, read_silent
from proxy.wire.plain import Plain
from proxy.wire.reading import ExchangeReader

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
        parts = GeminiAssembly(_reasons(head.path))
        blank = Request(
            wire_format=self.name,
            operation="chat",
            model_asked=None if found is None else _model(found[1]),
            is_streamed=is_streamed,
        )

        def read(body: bytes) -> Request:
            request = read_generate(body, blank)
            parts.wanted = request.n
            return request

        return ExchangeReader(
            blank,
            read,
            parts,
            framing=lambda answer: google_framing(answer, is_streamed=is_streamed),
            head=head,
        )


class Silent(Plain):
    """Methods of a model that answer without its words; what is sent to it is read."""

    def __init__(
        self,
        operation: str,
        methods: frozenset[str],
        *,
        named: tuple[str, ...] = ("",),
        has_words: bool = False,
    ) -> None:
        """Take POST requests by method, of models in whose name one of these words stands."""
        super().__init__(operation, method="POST", suffixes=(), has_words=has_words)
        self._methods = methods
        self._named = named

    def claims(self, head: RequestHead) -> str | None:
        """The operation, for a POST to one of these methods."""
        found = _CALL.search(head.path)
        if head.method != "POST" or found is None or found[2] not in self._methods:
            return None
        is_ours = any(word in found[1] for word in self._named)
        return self._operation if is_ours else None

    def blank(self, head: RequestHead) -> Request:
        """What the path says before the body is read: the model."""
        found = _CALL.search(head.path)
        return Request(
            wire_format=self.name,
            operation=self._operation,
            model_asked=None if found is None else _model(found[1]),
            is_streamed=False,
        )

    def reads(self, blank: Request) -> Callable[[bytes], Request]:
        """How a body reads."""
        return lambda body: read_silent(body, blank)


def _model(resource: str) -> str:
    """The name of a model, as callers write it: `models/` in front says nothing."""
    name = unquote(resource)
    return name.rpartition("/models/")[2].removeprefix("models/")


def _reasons(path: str) -> tuple[str, ...]:
    """The numbers of reasons by the interface: Vertex and the Gemini API differ from the sixth on."""
    is_vertex = "/projects/" in path or "/publishers/" in path
    return VERTEX_REASONS if is_vertex else GEMINI_REASONS
