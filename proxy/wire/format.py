"""The protocol every wire format fulfils: is this mine, and what does it say."""

from typing import Protocol

from proxy.exchange import Exchange, Request, RequestHead, ResponseHead

__all__ = ["Reader", "WireFormat"]


class Reader(Protocol):
    """Reads one exchange. Calls come in this order: request, respond, feed (any number), finish."""

    def request(self, body: bytes) -> Request:
        """Read the whole request body (already decoded from any content-encoding).

        Raises:
            WireError: the body is not a request of this format.
        """

    def respond(self, head: ResponseHead) -> None:
        """Take note of the response's head: it says whether frames or one JSON body follow."""

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes of the answer (decoded), cut anywhere.

        Raises:
            WireError: the bytes are not an answer of this format; the reader is spent.
        """

    @property
    def is_terminal(self) -> bool:
        """Whether the terminal frame has been read: what follows cannot change the answer."""

    def finish(self, *, is_clean: bool = False) -> Exchange:
        """Give what was read. Never raises: an unread or broken answer has `is_complete` false.

        `is_clean` says that the transport ended the message in order. It matters only where a
        format has no terminal frame, or a host leaves it out: without it such an answer is cut.
        """


class WireFormat(Protocol):
    """One wire format: stateless, shared by all exchanges."""

    @property
    def name(self) -> str:
        """The format's id, such as `openai.chat`."""

    def claims(self, head: RequestHead) -> str | None:
        """The operation (such as `chat`) if this request is of this format, else None."""

    def reader(self, head: RequestHead) -> Reader:
        """A fresh reader for one exchange."""
