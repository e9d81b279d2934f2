"""The format `xai.batches`: a batch is made empty, then requests are added (xAI's API reference).

Requests may be written as the Responses API or the chat API takes them; answers come as chat. Results come
in pages, each of which names the next: all were seen once every page that was named has been read.
"""

import hashlib
from urllib.parse import parse_qs

from proxy.errors import WireError
from proxy.exchange import Request, RequestHead
from proxy.wire.batch import Ask, Asked, Door, Notice, Result, fit, identity, only, unique
from proxy.wire.batch_reading import BatchReader, ByDoors
from proxy.wire.document import Object, integer, object_, objects, read_object, text

__all__ = ["XaiBatches"]

_CHAT = "/v1/chat/completions"
_TOKEN = "pagination_token"  # noqa: S105 - it leads to a page, and opens nothing
_PATHS = {"responses": "/v1/responses", "chat_get_completion": _CHAT}


class _Opening(BatchReader):
    """Reads the call that makes a batch: it must be empty, or requests would leave undecided."""

    def request(self, body: bytes) -> Request:
        """Read the whole request body.

        Raises:
            WireError: it holds more than the name of a batch.
        """
        only(read_object(body, of="the request body"), frozenset({"name"}))
        return BatchReader.request(self, body)


class _Page(BatchReader):
    """Reads one page of results: what it brings and what it names are pages of the batch."""

    def part(self, query: str) -> str:
        """The page that a query asks for."""
        return _page(self.subject or "", parse_qs(query).get(_TOKEN, [""])[-1])

    def _take(self, doc: Object) -> None:
        super()._take(doc)
        batch, token = self.subject or "", doc.get(_TOKEN)
        if isinstance(token, str) and token:
            self.notice = Notice(outputs=(_page(batch, token),))


class XaiBatches(ByDoors):
    """Batches that requests are added to, and whose results are fetched page by page."""

    name = "xai.batches"
    doors = (
        Door("POST", "/batches", "read"),
        Door("GET", "/batches", "read"),
        Door("POST", "/batches/*/requests", "create"),
        Door("GET", "/batches/*/requests", "read"),
        Door("GET", "/batches/*/results", "results"),
        Door("GET", "/batches/*", "read"),
        Door("POST", "/batches/*:cancel", "read"),
    )

    def reader(self, head: RequestHead) -> BatchReader:
        """A fresh reader for one call."""
        door = fit(self, head) or self.doors[0]
        if door is self.doors[0]:
            return _Opening(self, door, head)
        return (_Page if door.does == "results" else BatchReader)(self, door, head)

    def asked(self, doc: Object, head: RequestHead) -> Asked:  # noqa: ARG002 - all is in the body
        """The requests that are added.

        Raises:
            WireError: one has no id, or is asked in a way nobody knows; or two share an id; or the
                body says what is not known.
        """
        only(doc, frozenset({"batch_requests"}))
        found = objects(doc, "batch_requests")
        return Asked(asks=unique(_ask(one, n) for n, one in enumerate(found)))

    def notice(self, doc: Object) -> Notice:
        """The batch, and whether all that was added is done: its first page of results is there then."""
        state = object_(doc, "state")
        batch = text(doc, "batch_id")
        if batch is None or state is None:
            return Notice(batch=batch)
        pending = integer(state, "num_pending", "$.state")
        asked = integer(state, "num_requests", "$.state")
        if pending is None or not asked:
            return Notice(batch=batch)
        if pending:
            return Notice(batch=batch, state="open")
        return Notice(batch=batch, state="ended", outputs=(_page(batch, ""),))

    def results(self, doc: Object) -> list[Object]:
        """A page of results.

        Raises:
            WireError: it is no list of objects.
        """
        return objects(doc, "results")

    def result(self, doc: Object) -> Result:
        """One result.

        Raises:
            WireError: it is none.
        """
        custom_id = identity(text(doc, "batch_request_id"), at="$.batch_request_id")
        found = object_(doc, "batch_result") or {}
        response = object_(found, "response", "$.batch_result") or {}
        body = object_(response, "chat_get_completion", "$.batch_result.response")
        error = found.get("error") or doc.get("error")
        if body is not None and not error:
            return Result(custom_id=custom_id, body=body, path=_CHAT)
        if error is None:
            return Result(custom_id=custom_id, reason="no-result")
        return Result(custom_id=custom_id, body={"error": error}, is_error=True, path=_CHAT)


def _page(batch: str, token: str) -> str:
    """A name for a page of results: its token is the provider's own, and as long as it likes."""
    mark = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:32] if token else "1"
    return f"{batch}/{mark}"


def _ask(one: Object, n: int) -> Ask:
    at = f"$.batch_requests[{n}]"
    request = object_(one, "batch_request", at) or {}
    kinds = [kind for kind in request if kind in _PATHS]
    if len(kinds) != 1 or len(request) != 1:
        raise WireError(
            f"`{at}.batch_request` is asked in a way that is not read",
            code="unclassified",
            where=f"{at}.batch_request",
            help="write each request under `responses` or `chat_get_completion`",
        )
    return Ask(
        custom_id=identity(text(one, "batch_request_id", at), at=f"{at}.batch_request_id"),
        path=_PATHS[kinds[0]],
        body=object_(request, kinds[0], f"{at}.batch_request") or {},
    )
