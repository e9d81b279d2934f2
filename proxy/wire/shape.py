"""Whether a request has the shape of a model call, whoever it goes to: pure.

For hosts that nobody registered, where no contract says what is spoken. A path alone is no proof (any
shop has a `/search/completions`), and a body alone only where it can hardly be anything else: what a
path of a known format says must be borne out by the body.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.errors import WireError
from proxy.exchange import Json, RequestHead
from proxy.wire.dialects import FORMATS
from proxy.wire.document import Object
from proxy.wire.form import fields_of, is_form
from proxy.wire.format import WireFormat
from proxy.wire.paths import deployment_of
from proxy.wire.refusal import family_of

__all__ = ["Shape", "is_claimed", "may_be_object", "shape_of", "shape_of_head"]

_NOT_ASKING = frozenset({"count-tokens", "file", "models", "other"})
"""Operations in which no model answers."""
_ASKED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "audio": frozenset({"file", "input"}),
        "chat": frozenset({"input", "inputs", "message"}),
        "completion": frozenset({"prompt"}),
        "embedding": frozenset({"images", "input", "inputs", "texts"}),
        "image": frozenset({"image", "prompt"}),
        "moderation": frozenset({"input"}),
        "rerank": frozenset({"documents"}),
    }
)
"""Under which names formats put what a model is asked, by operation."""
_ASKED_ANYWHERE = frozenset({"input", "inputs", "message", "prompt"})
_BATCHED = frozenset({"input_file_id", "input_files", "requests"})
"""Under which names they put many calls at once."""
_SAMPLING = frozenset(
    {
        "frequency_penalty",
        "instructions",
        "logprobs",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "max_tokens_to_sample",
        "presence_penalty",
        "stop",
        "stream",
        "temperature",
        "tools",
        "top_k",
        "top_p",
    }
)
_PATH_NAMES_MODEL = frozenset({"bedrock.converse", "bedrock.invoke", "gemini.generateContent"})
"""Formats whose path holds a model and a verb, and so is proof enough beside any JSON object."""
_SOCKET_METHODS = ("BidiGenerateContent", "BidiGenerateContentConstrained")
_GENERATE = ("/generate", "/generate_stream")
_RUNS = ("/threads/runs", "/runs")
_GENERATING_ONLY = frozenset(
    {"do_sample", "max_new_tokens", "repetition_penalty", "return_full_text", "typical_p"}
)
"""Names of parameters that nothing but a generating model has."""
_GENERATING = _SAMPLING | _GENERATING_ONLY | {"details", "seed", "watermark"}
_GRPC_METHODS = frozenset(
    {
        "BidiGenerateContent",
        "GenerateContent",
        "GetCompletion",
        "GetCompletionChunk",
        "ModelInfer",
        "ModelStreamInfer",
        "StartDeferredCompletion",
        "StreamGenerateContent",
    }
)
_WIDE_UNICODE = (b"\xff\xfe", b"\xfe\xff", b"\0{", b"\0\0\0{")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a request would be if its host were a teacher."""

    operation: str
    family: str
    """The shape of errors its client expects."""


def is_claimed(head: RequestHead) -> bool:
    """Whether a path is one of a known format in which a model answers."""
    return next(_claims(head), None) is not None


def may_be_object(start: bytes) -> bool | None:
    """Whether a body that starts so may be a JSON object; None where more of it must be seen."""
    begun = start.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if not begun:
        return None
    return begun.startswith((b"{", *_WIDE_UNICODE))


def shape_of_head(head: RequestHead, *, upgrade: str | None) -> Shape | None:
    """What the head alone proves: a model's WebSocket, or its method of gRPC.

    `upgrade` is the protocol a client asks to switch to.
    """
    method = head.path.rpartition("/")[2]
    is_socket = (upgrade or "").lower() == "websocket"
    is_models = method == "realtime" or method.endswith(_SOCKET_METHODS)
    if is_socket and (is_models or head.path.endswith("/v1/responses")):
        return Shape(operation="other", family="plain")
    is_grpc = (head.header("content-type") or "").lower().startswith("application/grpc")
    if is_grpc and method in _GRPC_METHODS:
        return Shape(operation="chat", family="grpc")
    return None


def shape_of(head: RequestHead, body: bytes) -> Shape | None:
    """What a request with its whole body (decoded) is; None: no model call."""
    content_type = head.header("content-type")
    if is_form(content_type):
        shape = _shape_of_form(head, body, content_type or "")
        if shape is not None or not may_be_object(body):
            return shape  # else it is an object by another name
    doc = _object(body)
    if doc is None:
        return None
    for wire_format, operation in _claims(head):
        if _bears_out(doc, head, wire_format, operation):
            return Shape(operation=operation, family=family_of(wire_format.name))
    return _shape_of_served(head, doc) or _shape_of_object(doc)


def _claims(head: RequestHead) -> Iterator[tuple[WireFormat, str]]:
    """The formats that know the path, with the operation it would be."""
    for wire_formats in FORMATS.values():
        for wire_format in wire_formats:
            operation = wire_format.claims(head)
            if operation is not None and operation not in _NOT_ASKING:
                yield wire_format, operation


def _object(body: bytes) -> Object | None:
    """The JSON object a body holds, read as a lenient server would."""
    try:
        doc: Json = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return doc if isinstance(doc, dict) else None


def _bears_out(doc: Object, head: RequestHead, wire_format: WireFormat, operation: str) -> bool:
    """Whether a body is what its path says: a conversation, or a model and what it is asked."""
    if wire_format.name in _PATH_NAMES_MODEL or _is_conversation(doc) or _has_contents(doc):
        return True
    if operation == "batch":
        return not _BATCHED.isdisjoint(doc)
    is_named = _names_model(doc) or deployment_of(head.path) is not None
    if operation == "realtime":  # it asks nothing yet: it sets a session up
        return is_named or isinstance(doc.get("session"), dict)
    if wire_format.name == "replicate":  # a version stands for a model, in the body or in the path
        is_named = isinstance(doc.get("version"), str) or "/models/" in head.path
        return is_named and isinstance(doc.get("input"), dict)
    return is_named and not _ASKED.get(operation, _ASKED_ANYWHERE).isdisjoint(doc)


def _shape_of_served(head: RequestHead, doc: Object) -> Shape | None:
    """What a body is that names no model: a server has one, or an assistant has.

    Text Generation Inference and vLLM take a prompt at a path of their own (TGI also at its root).
    """
    if head.path.endswith(_RUNS) and isinstance(doc.get("assistant_id"), str):
        return Shape(operation="chat", family="openai")
    said = next((doc[key] for key in ("inputs", "prompt") if isinstance(doc.get(key), str)), None)
    if said is None:
        return None
    parameters = doc.get("parameters")
    asked = doc.keys() | (parameters.keys() if isinstance(parameters, dict) else set())
    is_generating = head.path.endswith(_GENERATE) and not asked.isdisjoint(_GENERATING)
    is_bare = "inputs" in doc and not asked.isdisjoint(_GENERATING_ONLY)
    is_tgi = is_bare or (head.path.endswith("/generate_stream") and "inputs" in doc)
    return Shape(operation="completion", family="plain") if is_generating or is_tgi else None


def _shape_of_object(doc: Object) -> Shape | None:
    """What a body is under a path that nobody knows."""
    if _has_contents(doc):
        return Shape(operation="chat", family="gemini")
    if not _names_model(doc):
        return None
    given = doc.get("input")
    if _is_conversation(doc) or _all_have(given, "role"):
        return Shape(operation="chat", family="openai")
    if isinstance(given, dict) and _is_conversation(given):  # as DashScope nests it
        return Shape(operation="chat", family="plain")
    is_asked = not _ASKED_ANYWHERE.isdisjoint(doc) and not _SAMPLING.isdisjoint(doc)
    return Shape(operation="completion", family="openai") if is_asked else None


def _shape_of_form(head: RequestHead, body: bytes, content_type: str) -> Shape | None:
    """A form asks a model where a known path takes one and a field names it."""
    claim = next(_claims(head), None)
    if claim is None:
        return None
    try:
        names = {name for name, _ in fields_of(body, content_type)}
    except WireError:
        names = {"model"}  # at such a path, what we cannot read is not let pass
    is_named = "model" in names or deployment_of(head.path) is not None
    wire_format, operation = claim
    return Shape(operation=operation, family=family_of(wire_format.name)) if is_named else None


def _names_model(doc: Object) -> bool:
    return isinstance(doc.get("model"), str) and bool(doc["model"])


def _is_conversation(doc: Object) -> bool:
    return _all_have(doc.get("messages"), "role")


def _has_contents(doc: Object) -> bool:
    contents = doc.get("contents")
    return _all_have([contents] if isinstance(contents, dict) else contents, "parts")


def _all_have(entries: Json, key: str) -> bool:
    return (
        isinstance(entries, list)
        and bool(entries)
        and all(isinstance(entry, dict) and key in entry for entry in entries)
    )
