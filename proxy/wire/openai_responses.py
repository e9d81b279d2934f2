"""The format `openai.responses`: Responses, as OpenAI and the hosts that follow it speak it.

A response that the provider stored is read as it was when it was made: its request is then not on the
wire, so its prompt is known in part at most.
"""

from dataclasses import replace

from proxy.exchange import Exchange, Request, RequestHead
from proxy.wire.openai_responses_answer import ResponseAssembly
from proxy.wire.openai_responses_request import read_request
from proxy.wire.paths import ends_with, is_asked
from proxy.wire.reading import ExchangeReader

__all__ = ["OpenAIResponses"]


class OpenAIResponses:
    """Responses: JSON, or server-sent events that end in the whole response."""

    name = "openai.responses"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a new response, and for one that is fetched or stopped: each brings words."""
        match head.method:
            case "POST":
                is_ours = ends_with(head.path, "/responses") or _is_stopped(head.path)
            case "GET":
                is_ours = ends_with(head.path, "/responses/*")
            case _:
                is_ours = False
        return "chat" if is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        is_new = head.method == "POST" and not _is_stopped(head.path)
        blank = Request(
            wire_format=self.name,
            operation="chat",
            model_asked=None,
            is_streamed=is_asked(head.query, "stream"),
            is_whole=is_new,
        )
        return _ResponseReader(blank, head, is_new=is_new)


def _is_stopped(path: str) -> bool:
    return ends_with(path, "/responses/*/cancel")


class _ResponseReader(ExchangeReader):
    """Reads one exchange: an answer is complete only if the response says that it is over."""

    def __init__(self, blank: Request, head: RequestHead, *, is_new: bool) -> None:
        self._response = ResponseAssembly()
        read = read_request if is_new else lambda _: blank
        super().__init__(blank, read, self._response, head=head)

    def finish(self, *, is_clean: bool = False) -> Exchange:
        """Give what was read."""
        exchange = super().finish(is_clean=is_clean)
        said = self._response
        request = exchange.request
        answer = replace(
            exchange.answer,
            is_complete=exchange.answer.is_complete and said.is_over,
            incomplete_reason=said.incomplete_reason,
        )
        before = request.previous_response_id or said.previous_response_id
        request = replace(request, previous_response_id=before)
        return replace(exchange, request=request, answer=answer)
