"""The format `mistral.batches`: batch jobs (Mistral's API reference, "Batch").

Requests stand in the body or in files; results come inside the answer to a poll, and as a file.
"""

from proxy.errors import WireError
from proxy.exchange import RequestHead
from proxy.wire.batch import (
    Ask,
    Asked,
    Door,
    Notice,
    Result,
    identity,
    names,
    only,
    path_of,
    state_of,
    unique,
)
from proxy.wire.batch_openai import result_of
from proxy.wire.batch_reading import ByDoors
from proxy.wire.document import Object, object_, objects, text

__all__ = ["MistralBatches"]

_KNOWN = frozenset({"endpoint", "input_files", "metadata", "model", "requests", "timeout_hours"})
_ENDED = frozenset({"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"})


class MistralBatches(ByDoors):
    """Batch jobs of one endpoint and one model."""

    name = "mistral.batches"
    doors = (
        Door("POST", "/batch/jobs", "create"),
        Door("GET", "/batch/jobs", "read"),
        Door("GET", "/batch/jobs/*", "read"),
        Door("POST", "/batch/jobs/*/cancel", "read"),
        Door("DELETE", "/batch/jobs/*", "read"),
    )

    def asked(self, doc: Object, head: RequestHead) -> Asked:  # noqa: ARG002 - all is in the body
        """The requests in the body, or the files whose lines they are.

        Raises:
            WireError: no endpoint is named, a request has no id or no body, names another model than
                the job, or shares its id with another; or the body says what is not known.
        """
        only(doc, _KNOWN)
        path = path_of(text(doc, "endpoint"), at="$.endpoint")
        model = text(doc, "model")

        def line(one: Object) -> Ask:
            return _ask(one, path, model)

        return Asked(
            asks=unique(line(one) for one in objects(doc, "requests")),
            files=_files(doc),
            line=line,
        )

    def notice(self, doc: Object) -> Notice:
        """The job, whether it has ended, and its files; of a list, nothing."""
        if doc.get("object") != "batch":
            return Notice()
        return Notice(
            batch=text(doc, "id"),
            state=state_of(text(doc, "status"), _ENDED),
            outputs=names(doc, "output_file", "error_file") if not doc.get("outputs") else (),
        )

    def results(self, doc: Object) -> list[Object]:
        """What stands under `outputs`.

        Raises:
            WireError: it is no list of objects.
        """
        return objects(doc, "outputs")

    def result(self, doc: Object) -> Result:
        """One of the `outputs`.

        Raises:
            WireError: it is none.
        """
        return result_of(doc)


def _ask(one: Object, path: str, model: str | None) -> Ask:
    """One request: the model of the job stands for one that the request does not name.

    Raises:
        WireError: it has no body, or names another model: nobody knows which of them answers.
    """
    body = object_(one, "body")
    if body is None:
        raise WireError(
            "a request of the batch has no body",
            code="wrong-type",
            where="$.body",
            help="write `custom_id` and `body` for each request",
        )
    if model is not None and body.get("model") not in (None, model):
        raise WireError(
            "a request names another model than its job",
            code="two-models",
            where="$.body.model",
            help="make a job for each model, and name the model there alone",
        )
    if model is not None:
        body = {**body, "model": model}
    custom_id = identity(text(one, "custom_id"), at="$.custom_id")
    return Ask(custom_id=custom_id, path=path, body=body)


def _files(doc: Object) -> tuple[str, ...]:
    found = doc.get("input_files") or []
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise WireError(
            "`$.input_files` should be a list of ids",
            code="wrong-type",
            where="$.input_files",
            help="name files that were uploaded with `purpose` `batch`",
        )
    return tuple(str(name) for name in found)
