"""Chat Completions that the provider stored, fetched again or relabelled: an answer without its request.

They are read as when they were made (`openai.chat`). The request is not on the wire, so the prompt is
not whole, and who was asked is not known.
"""

from proxy.exchange import Request, RequestHead
from proxy.wire.openai_answer import ChatAssembly
from proxy.wire.paths import ends_with
from proxy.wire.reading import ExchangeReader

__all__ = ["StoredChat"]


class StoredChat:
    """One stored completion: fetched, or given other metadata; both bring its words."""

    name = "openai.chat"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a GET or POST of one stored completion, or a GET of one that xAI put off."""
        is_stored = head.method in {"GET", "POST"} and ends_with(head.path, "/chat/completions/*")
        is_deferred = head.method == "GET" and ends_with(head.path, "/chat/deferred-completion/*")
        return "chat" if is_stored or is_deferred else None

    def reader(self, head: RequestHead) -> ExchangeReader:  # noqa: ARG002 - it says nothing of the model
        """A fresh reader for one exchange."""
        blank = Request(
            wire_format=self.name,
            operation="chat",
            model_asked=None,
            is_streamed=False,
            is_whole=False,
        )
        return ExchangeReader(blank, lambda _: blank, ChatAssembly())
