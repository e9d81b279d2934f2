"""The formats `openai.batches` and `openai.files`: OpenAI, Azure and Groq (OpenAI's API reference).

Requests are lines of a file that was sent before; results are lines of files fetched after.
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
)
from proxy.wire.batch_reading import ByDoors
from proxy.wire.document import Object, integer, object_, text

__all__ = ["OpenAIBatches", "OpenAIFiles", "ask_of", "result_of"]

_KNOWN = frozenset(
    {"completion_window", "endpoint", "input_file_id", "metadata", "output_expires_after"}
)
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_UNREACHED = {"batch_expired": "batch-expired", "batch_cancelled": "batch-cancelled"}


class OpenAIBatches(ByDoors):
    """Batches whose requests are the lines of a file."""

    name = "openai.batches"
    doors = (
        Door("POST", "/batches", "create"),
        Door("GET", "/batches", "read"),
        Door("GET", "/batches/*", "read"),
        Door("POST", "/batches/*/cancel", "read"),
    )

    def claims(self, head: RequestHead) -> str | None:
        """`batch` for what goes through one of the doors, and is none of Anthropic's."""
        return None if "/messages/batches" in head.path else super().claims(head)

    def asked(self, doc: Object, head: RequestHead) -> Asked:  # noqa: ARG002 - all is in the body
        """The file whose lines are the requests.

        Raises:
            WireError: the body names none, or says what is not known.
        """
        only(doc, _KNOWN)
        file = text(doc, "input_file_id")
        if not file:
            raise WireError(
                "the batch names no file of requests",
                code="no-input-file",
                where="$.input_file_id",
                help="upload the requests with `purpose` `batch`, and name that file",
            )
        return Asked(files=(file,), line=ask_of)

    def notice(self, doc: Object) -> Notice:
        """The batch, whether it has ended, and its files; of a list, nothing."""
        if doc.get("object") != "batch":
            return Notice()
        return Notice(
            batch=text(doc, "id"),
            state=state_of(text(doc, "status"), _ENDED),
            input=text(doc, "input_file_id"),
            outputs=names(doc, "output_file_id", "error_file_id"),
        )

    def results(self, doc: Object) -> list[Object]:  # noqa: ARG002 - they come in files
        """None: results come in files."""
        return []

    def result(self, doc: Object) -> Result:
        """One result, as its file holds it.

        Raises:
            WireError: it is none.
        """
        return result_of(doc)


class OpenAIFiles(ByDoors):
    """Files: uploads, and what is fetched of them."""

    name = "openai.files"
    operation = "file"
    doors = (
        Door("POST", "/files", "upload", "file"),
        Door("GET", "/files", "file", "file"),
        Door("GET", "/files/*/content", "results", "file", is_lines=True),
        Door("GET", "/files/*", "file", "file"),
        Door("DELETE", "/files/*", "file", "file"),
    )

    def asked(self, doc: Object, head: RequestHead) -> Asked:  # noqa: ARG002 - a file asks nothing
        """Nothing: a file is no call of a model."""
        return Asked()

    def notice(self, doc: Object) -> Notice:
        """The file."""
        return Notice(input=text(doc, "id")) if doc.get("object") == "file" else Notice()

    def results(self, doc: Object) -> list[Object]:  # noqa: ARG002 - they come as lines
        """None: results come as lines."""
        return []

    def result(self, doc: Object) -> Result:
        """One line of a file of results.

        Raises:
            WireError: it is none.
        """
        return result_of(doc)


def ask_of(doc: Object) -> Ask:
    """One line of a file of requests.

    Raises:
        WireError: it is none that can be told from every other and be read alone.
    """
    custom_id = identity(text(doc, "custom_id"), at="$.custom_id")
    body = object_(doc, "body")
    if body is None or text(doc, "method") not in {None, "POST"}:
        raise WireError(
            "a line of the batch is no POST of a JSON body",
            code="wrong-type",
            where="$.body",
            help="write `custom_id`, `method` POST, `url` and `body` on each line",
        )
    return Ask(custom_id=custom_id, path=path_of(text(doc, "url"), at="$.url"), body=body)


def result_of(doc: Object) -> Result:
    """One line of a file of results, or one of Mistral's `outputs`.

    Raises:
        WireError: it is none.
    """
    custom_id = identity(text(doc, "custom_id"), at="$.custom_id")
    response, error = object_(doc, "response"), doc.get("error")
    if response is not None and response.get("body") is not None:
        status = integer(response, "status_code", "$.response")
        is_error = status is not None and status >= 400
        if is_error or not error:  # an answer beside an error is not known to be whole
            body = object_(response, "body", "$.response")
            return Result(custom_id=custom_id, status=status, body=body, is_error=is_error)
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code in _UNREACHED:
        return Result(custom_id=custom_id, reason=_UNREACHED[code])
    if error is None:
        return Result(custom_id=custom_id, reason="no-result")
    return Result(custom_id=custom_id, body={"error": error}, is_error=True)
