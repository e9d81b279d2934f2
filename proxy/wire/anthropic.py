"""The format `anthropic.messages`: the Messages API, which Vertex and Bedrock carry as well."""

from proxy.exchange import Request, RequestHead
from proxy.wire.anthropic_answer import MessageAssembly
from proxy.wire.anthropic_request import read_request
from proxy.wire.reading import ExchangeReader

__all__ = ["AnthropicMessages"]


class AnthropicMessages:
    """Messages: JSON, or server-sent events that end in `message_stop`."""

    name = "anthropic.messages"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a POST whose path ends in `/v1/messages`."""
        is_chat = head.method == "POST" and head.path.endswith("/v1/messages")
        return "chat" if is_chat else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        blank = Request(
            wire_format=self.name, operation="chat", model_asked=None, is_streamed=False
        )
        parts = MessageAssembly()
        return ExchangeReader(
            blank, read_request, parts, head=head, served_by=lambda: parts.served_by
        )
