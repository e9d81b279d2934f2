"""mitmproxy's HTTP/1 where the stock layers are not enough; part of the engine.

Stock behaviour on 12.2.3 that is changed here: trailers crash the layer, a 1xx answer is taken for the
final one, and an answer of ours to HEAD is sent with its body, which a client takes for the next answer.
"""

from h11 import Data, EndOfMessage
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy import events
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import ResponseData
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Server, TBodyReader

__all__ = ["ClientHttp1", "UpstreamHttp1"]


class _Chunks(ChunkedReader):
    """Reads a chunked body and drops its trailers, as RFC 9110 §6.5.1 lets a recipient do."""

    def __call__(self, buf: ReceiveBuffer) -> Data | EndOfMessage | None:
        """The next piece of the body, or its end."""
        event = super().__call__(buf)
        return EndOfMessage() if isinstance(event, EndOfMessage) else event


class ClientHttp1(Http1Server):
    """HTTP/1 with the client, trailers dropped."""

    body_reader: TBodyReader

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        """Send a part of an answer; one to HEAD has no body (RFC 9110 §9.3.2)."""
        is_bodiless = self.request is not None and self.request.method.upper() == "HEAD"
        if not (is_bodiless and isinstance(event, ResponseData)):
            yield from super().send(event)

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        """Read more of the request's body."""
        if type(self.body_reader) is ChunkedReader:  # nothing was read yet: this call is the first
            self.body_reader = _Chunks()
        yield from super().read_body(event)


class UpstreamHttp1(Http1Client):
    """HTTP/1 with the teacher: trailers and informational answers dropped."""

    body_reader: TBodyReader

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        """Read more of the answer's body."""
        if type(self.body_reader) is ChunkedReader:  # as above
            self.body_reader = _Chunks()
        yield from super().read_body(event)

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        """Read the head of the final answer (RFC 9110 §15.2: others may come before it)."""
        while self.request and self._starts_informational() and self.buf.maybe_extract_lines():
            pass
        yield from super().read_headers(event)

    def _starts_informational(self) -> bool:
        start = bytes(self.buf)[:12]
        return start[:5] == b"HTTP/" and start[8:10] == b" 1" and start[9:12] != b"101"
