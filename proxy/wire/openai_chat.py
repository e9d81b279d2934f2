"""The format `openai.chat`: Chat Completions, as OpenAI and the many hosts that follow it speak it."""

from proxy.exchange import Request, RequestHead
from proxy.wire.openai_answer import ChatAssembly
from proxy.wire.openai_request import read_request
from proxy.wire.paths import deployment_of
from proxy.wire.reading import ExchangeReader

__all__ = ["OpenAIChat"]

_PATHS = ("/chat/completions", "/agents/completions", "/text/chatcompletion_v2")
"""Of OpenAI and most others; of Mistral's agents; of MiniMax."""


class OpenAIChat:
    """Chat Completions: JSON, or server-sent events that end in `[DONE]`."""

    name = "openai.chat"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a POST whose path ends in `/chat/completions`, or in another host's word for it."""
        is_chat = head.method == "POST" and head.path.endswith(_PATHS)
        return "chat" if is_chat else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        parts = ChatAssembly()

        def read(body: bytes) -> Request:
            request = read_request(body, deployment=deployment_of(head.path))
            parts.wanted = request.n
            return request

        blank = Request(
            wire_format=self.name, operation="chat", model_asked=None, is_streamed=False
        )
        return ExchangeReader(blank, read, parts, head=head, served_by=lambda: parts.served_by)
