"""The format `anthropic.batches`: Message Batches (Anthropic's API reference, "Message Batches")."""

from proxy.errors import WireError
from proxy.exchange import RequestHead
from proxy.wire.batch import Ask, Asked, Door, Notice, Result, identity, only, state_of, unique
from proxy.wire.batch_reading import ByDoors
from proxy.wire.document import Object, object_, objects, text

__all__ = ["AnthropicBatches"]

_UNREACHED = {"canceled": "batch-cancelled", "expired": "batch-expired"}


class AnthropicBatches(ByDoors):
    """Batches of messages: requests in the body, results as JSON lines."""

    name = "anthropic.batches"
    doors = (
        Door("POST", "/v1/messages/batches", "create"),
        Door("GET", "/v1/messages/batches", "read"),
        Door("GET", "/v1/messages/batches/*/results", "results", is_lines=True),
        Door("GET", "/v1/messages/batches/*", "read"),
        Door("POST", "/v1/messages/batches/*/cancel", "read"),
        Door("DELETE", "/v1/messages/batches/*", "read"),
    )

    def asked(self, doc: Object, head: RequestHead) -> Asked:  # noqa: ARG002 - all is in the body
        """The requests, each as the Messages API takes it alone.

        Raises:
            WireError: one has no id or no parameters, or two share an id; or the body says what is
                not known.
        """
        only(doc, frozenset({"requests"}))
        return Asked(asks=unique(_ask(one, n) for n, one in enumerate(objects(doc, "requests"))))

    def notice(self, doc: Object) -> Notice:
        """The batch and whether it has ended; of a list, or of a batch deleted, nothing."""
        if doc.get("type") != "message_batch":
            return Notice()
        batch, status = text(doc, "id"), text(doc, "processing_status")
        has_results = batch is not None and doc.get("results_url") is not None
        return Notice(
            batch=batch,
            state=state_of(status, frozenset({"ended"})),
            outputs=(batch,) if batch is not None and has_results else (),
        )

    def results(self, doc: Object) -> list[Object]:  # noqa: ARG002 - they come as lines
        """None: results come as lines."""
        return []

    def result(self, doc: Object) -> Result:
        """One result; of one that was cancelled or ran out of time, the reason.

        Raises:
            WireError: it is none.
        """
        custom_id = identity(text(doc, "custom_id"), at="$.custom_id")
        found = object_(doc, "result") or {}
        kind = text(found, "type", "$.result") or ""
        if kind == "succeeded":
            body = object_(found, "message", "$.result")
            return Result(custom_id=custom_id, body=body, reason=None if body else "no-result")
        if kind == "errored":
            return Result(
                custom_id=custom_id,
                body=object_(found, "error", "$.result") or {},
                is_error=True,
            )
        return Result(custom_id=custom_id, reason=_UNREACHED.get(kind, "unknown-result"))


def _ask(one: Object, n: int) -> Ask:
    at = f"$.requests[{n}]"
    params = object_(one, "params", at)
    if params is None:
        raise WireError(
            f"`{at}.params` is not there",
            code="wrong-type",
            where=f"{at}.params",
            help="give the parameters of a message there",
        )
    custom_id = identity(text(one, "custom_id", at), at=f"{at}.custom_id")
    return Ask(custom_id=custom_id, path="/v1/messages", body=params)
