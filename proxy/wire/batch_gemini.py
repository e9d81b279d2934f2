"""The format `gemini.batches`: batches of generateContent (Google's API reference, "Batch API").

Requests stand in the body; results come inside the answer to a poll, twice. A request is told from
others by its `metadata`, or by its place where it has none.
"""

import json

from proxy.errors import WireError
from proxy.exchange import Json, RequestHead
from proxy.wire.batch import Ask, Asked, Door, Notice, Result, only, state_of, unique
from proxy.wire.batch_reading import ByDoors
from proxy.wire.document import Object, object_, objects, text

__all__ = ["GeminiBatches"]

_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
_AT = "$.batch.inputConfig.requests.requests"


class GeminiBatches(ByDoors):
    """Batches of one model."""

    name = "gemini.batches"
    doors = (
        Door("POST", "/models/*:batchGenerateContent", "create"),
        Door("GET", "/v1beta/batches", "read"),
        Door("GET", "/v1beta/batches/*", "read"),
        Door("POST", "/v1beta/batches/*:cancel", "read"),
        Door("DELETE", "/v1beta/batches/*", "read"),
    )

    def named(self, subject: str) -> str:
        """The name as answers write it."""
        return f"batches/{subject}"

    def asked(self, doc: Object, head: RequestHead) -> Asked:
        """The requests, each as `generateContent` takes it alone.

        Raises:
            WireError: they stand in a file, which is not read; one is none, or is for another model,
                or two look alike.
        """
        only(doc, frozenset({"batch"}))
        batch = object_(doc, "batch") or {}
        config = _either(batch, "inputConfig", "input_config", "$.batch") or {}
        if any(config.get(key) is not None for key in ("fileName", "file_name")):
            raise WireError(
                "the requests of the batch stand in a file that is not read",
                code="unread-batch",
                where="$.batch.inputConfig.fileName",
                help="send the requests in the body, under `inputConfig.requests`",
            )
        found = object_(config, "requests", "$.batch.inputConfig") or {}
        path = head.path.replace(":batchGenerateContent", ":generateContent")
        _one_model(batch, found, head)
        asks = (_ask(one, n, path) for n, one in enumerate(objects(found, "requests", _AT)))
        return Asked(asks=unique(asks))

    def notice(self, doc: Object) -> Notice:
        """The batch and whether it has ended; of a list, nothing."""
        name = text(doc, "name")
        if name is None or not name.startswith("batches/"):
            return Notice()
        batch = object_(doc, "metadata") or doc
        word = text(batch, "state", "$.metadata")
        said = (
            None if word is None else word.removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
        )
        return Notice(batch=name, state=state_of(said, _ENDED))

    def results(self, doc: Object) -> list[Object]:
        """The results of an answer that holds them, once, each with its place.

        Raises:
            WireError: they are no list of objects.
        """
        metadata = object_(doc, "metadata") or {}
        for holder in (doc.get("response"), doc.get("output"), metadata.get("output")):
            if isinstance(holder, dict):
                inlined = object_(holder, "inlinedResponses") or {}
                found = objects(inlined, "inlinedResponses", "$.inlinedResponses")
                if found:
                    is_told = _are_all(found, metadata)
                    places = [n if is_told else None for n in range(len(found))]
                    return [{**one, "place": n} for n, one in zip(places, found, strict=True)]
        return []

    def result(self, doc: Object) -> Result:
        """One result.

        Raises:
            WireError: it is none.
        """
        place = doc.get("place")
        custom_id = _identity(doc, place if isinstance(place, int) else -1)
        body = object_(doc, "response")
        error = doc.get("error")
        if body is not None and not error:
            return Result(custom_id=custom_id, body=body)
        if error is None:
            return Result(custom_id=custom_id, reason="no-result")
        return Result(custom_id=custom_id, body={"error": error}, is_error=True)


def _ask(one: Object, n: int, path: str) -> Ask:
    body = object_(one, "request", f"{_AT}[{n}]")
    if body is None:
        raise WireError(
            f"`{_AT}[{n}].request` is not there",
            code="wrong-type",
            where=f"{_AT}[{n}].request",
            help="give each request under `request`",
        )
    return Ask(custom_id=_identity(one, n), path=path, body=body)


def _identity(one: Object, place: int) -> str:
    """What tells a request from the others: all of its `metadata`, as answers repeat it."""
    metadata: Json = one.get("metadata")
    if not metadata:
        return f"#{place}"
    return json.dumps(metadata, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _are_all(found: list[Object], metadata: Object) -> bool:
    """Whether each request has its result: only then a place tells whose it is."""
    stats = metadata.get("batchStats")
    count = stats.get("requestCount") if isinstance(stats, dict) else None
    return count is None or str(count) == str(len(found))


def _one_model(batch: Object, holder: Object, head: RequestHead) -> None:
    """Make sure that nothing in the body names another model than the path, which is decided on."""
    model = head.path.rpartition("/")[2].partition(":")[0]
    asked = [one.get("request") for one in objects(holder, "requests", _AT)]
    named = [one.get("model") for one in (batch, *asked) if isinstance(one, dict)]
    if any(name not in (None, model, f"models/{model}") for name in named):
        raise WireError(
            "the body names another model than the path",
            code="two-models",
            where="$.batch",
            help="make a batch for each model, and name it in the path alone",
        )


def _either(doc: Object, camel: str, snake: str, at: str) -> Object | None:
    if doc.get(camel) is not None and doc.get(snake) is not None:
        raise WireError(
            f"`{at}` gives both `{camel}` and `{snake}`",
            code="duplicate-key",
            where=f"{at}.{camel}",
            help="give it once: readers differ in which of two values they take",
        )
    return object_(doc, camel if doc.get(camel) is not None else snake, at)
