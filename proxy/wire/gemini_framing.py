"""The frames of Google's answers, told by their first character: events, one array or one object.

What comes is not always what was asked: an error is one JSON object even where `alt=sse` asked for
events, and an array of one error where nothing did; gateways leave the content type out.
"""

from proxy.errors import WireError
from proxy.exchange import ResponseHead
from proxy.wire.framing import Framing, content_type, framing_of
from proxy.wire.jsonlines import ArrayDecoder
from proxy.wire.sse import Event, SSEDecoder

__all__ = ["END", "GoogleDecoder", "google_framing"]

END = Event("end", "", "")
"""What follows the last character of an array, or of a lone object: nothing that counts comes after."""

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_OBJECT = b"{"
_FIELDS = b"deir:"  # data, event, id, retry, and comments (HTML standard §9.2.6)


def google_framing(head: ResponseHead, *, is_streamed: bool) -> Framing | None:
    """The frames that follow a head; None where one JSON object follows, which the caller reads.

    Events are events whatever was asked; an error may have any shape, so its bytes tell, unless it
    is a gateway's page.
    """
    if content_type(head).startswith("text/"):
        return framing_of(head)
    is_any = is_streamed or head.status >= 400
    return GoogleDecoder() if is_any else framing_of(head)


class GoogleDecoder:
    """Turns the bytes of one answer into JSON texts, however they are cut, and says where JSON ends."""

    def __init__(self) -> None:
        self._start = b""
        self._inner: ArrayDecoder | SSEDecoder | None = None
        self._is_single = False
        self._is_ended = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The texts that the next bytes complete, and `END` after the last of an array or object.

        Raises:
            WireError: the bytes are neither; what came before is given first.
        """
        if self._inner is None:
            self._start += chunk
            self._inner, chunk = self._begun()
            if self._inner is None:
                return []
            self._start = b""
        if isinstance(self._inner, SSEDecoder):
            return self._inner.feed(chunk)
        return self._members(self._inner, chunk)

    def finish(self) -> list[Event]:
        """What the end completes.

        Raises:
            WireError: nothing came, or the end cuts an array or an object.
        """
        if isinstance(self._inner, SSEDecoder):
            return self._inner.finish()
        if self._inner is None:
            raise WireError("the answer is empty", code="malformed-json")
        events = self._inner.finish()
        if not self._is_ended:
            raise WireError("the answer ends inside its array", code="cut-frame")
        return events

    def _begun(self) -> tuple[ArrayDecoder | SSEDecoder | None, bytes]:
        """The decoder that the first character calls for, and the bytes it is to read."""
        is_bom_open = len(self._start) < len(_BOM) and _BOM.startswith(self._start)
        said = self._start.removeprefix(_BOM).lstrip(_SPACE)
        if is_bom_open or not said:
            return None, b""
        if said[0] in _FIELDS:
            return SSEDecoder(), self._start
        self._is_single = said.startswith(_OBJECT)
        return ArrayDecoder(), (b"[" if self._is_single else b"") + said

    def _members(self, array: ArrayDecoder, chunk: bytes) -> list[Event]:
        try:
            events = array.feed(chunk)
        except WireError:
            if self._is_ended or not array.is_closed:
                raise
            events = []  # what follows the bracket is wrong: that is said next time
        if self._is_single and events and not self._is_ended:
            self._is_ended = True
            return [events[0], END, *events[1:]]
        if array.is_closed and not self._is_ended:
            self._is_ended = True
            return [*events, END]
        return events
