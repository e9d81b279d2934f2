"""Recorded exchanges of real providers, read whole and in pieces; cases exist where the files do."""

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from proxy.exchange import Answer, Choice, Exchange, RequestHead, ResponseHead, ToolCall
from proxy.wire.dialects import FORMATS, format_for
from proxy.wire.encoding import Decoder
from proxy.wire.grpc import Trailed

FOLDER = Path(__file__).parents[4] / "shared" / "exchanges"
NAMES = tuple(FORMATS)


def _is_ours(sample: dict[str, Any]) -> bool:
    expected = sample.get("expected", {})
    return expected.get("dialect") in NAMES and expected.get("operation") == "chat"


def _load() -> dict[str, dict[str, Any]]:
    samples = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    return {name: sample for name, sample in samples.items() if _is_ours(sample)}


EVERY = _load()
SAMPLES = {name: sample for name, sample in EVERY.items() if sample["kind"] == "http"}
"""Those that came over HTTP/1.1."""


def _bytes(body: dict[str, str]) -> bytes:
    if body["encoding"] == "base64":
        return base64.b64decode(body["data"])
    return body["data"].encode()


def _sent(message: dict[str, Any]) -> bytes:
    """The body of a request or an answer; of messages of gRPC only the contents were recorded."""
    if "messages" not in message:
        return _bytes(message["body"])
    contents = [base64.b64decode(each) for each in message["messages"]]
    return b"".join(b"\0" + len(each).to_bytes(4) + each for each in contents)


def read(sample: dict[str, Any], cuts: list[int]) -> Exchange:
    """Read a sample as the proxy would, its answer cut at these places."""
    request, response = sample["request"], sample["response"]
    url = urlsplit(request["url"])
    head = RequestHead(method=request["method"], path=url.path, query=url.query)
    wire_format = format_for(head, NAMES)
    assert wire_format is not None
    reader = wire_format.reader(head)
    reader.request(_sent(request))
    headers = tuple((name.lower(), value) for name, value in response["headers"])
    answer_head = ResponseHead(status=response["status"], headers=headers)
    reader.respond(answer_head)
    decoder = Decoder(answer_head.header("content-encoding"))
    body = _sent(response)
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        reader.feed(decoder.feed(body[start:end]))
    decoder.finish()
    if isinstance(reader, Trailed):
        reader.trailers((("grpc-status", str(sample["expected"]["grpc_status"])),))
    return reader.finish(is_clean=True)


def reading(exchange: Exchange) -> dict[str, Any]:
    """An exchange in the shape of the samples' `expected`."""
    answer = exchange.answer
    projected = {
        "dialect": exchange.request.wire_format,
        "operation": exchange.request.operation,
        "streamed": exchange.request.is_streamed,
        "status": answer.status,
        "model_requested": exchange.request.model_asked,
        "model_served": answer.model_served,
        "teacher_output": any(_has_words(choice) for choice in answer.choices),
    }
    if answer.error is not None:
        return projected | {"error": _error(answer)}
    if exchange.request.wire_format == "openai.responses":
        projected["previous_response_id"] = exchange.request.previous_response_id
        projected["incomplete_reason"] = answer.incomplete_reason
    return projected | {
        "response_id": answer.response_id,
        "choices": [_choice(choice) for choice in answer.choices],
        "usage": _usage(answer),
    }


def _has_words(choice: Choice) -> bool:
    return bool(choice.text or choice.reasoning or choice.tool_calls or choice.refusal)


def _error(answer: Answer) -> dict[str, Any]:
    assert answer.error is not None
    return {
        "type": answer.error.type,
        "code": answer.error.code,
        "message": answer.error.message,
        "retry_after": answer.error.retry_after_s,
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "index": choice.index,
        "text": choice.text,
        "reasoning": choice.reasoning,
        "refusal": choice.refusal,
        "finish_reason": choice.finish_reason,
        "tool_calls": [_call(call) for call in choice.tool_calls],
        "server_tools": list(choice.server_tools),
        "logprobs": choice.logprobs is not None,
    }


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "arguments": json.loads(call.arguments)}


def _usage(answer: Answer) -> dict[str, Any] | None:
    usage = answer.usage
    if usage is None:
        return None
    return {
        "input": usage.input,
        "output": usage.output,
        "total": usage.total,
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "reasoning": usage.reasoning,
        "raw": usage.raw,
    }


def wanted(sample: dict[str, Any]) -> dict[str, Any]:
    """The part of `expected` that an exchange says: not the registry's and the headers' part."""
    expected = dict(sample["expected"])
    for key in ("provider", "request_id_header"):
        expected.pop(key, None)
    if expected.pop("grpc_status", None) is not None:
        expected["choices"] = [_grpc_choice(choice) for choice in expected["choices"]]
    if "error" in expected:
        error = dict(expected["error"])
        code = error["code"]
        expected["error"] = error | {"code": None if code is None else str(code)}
    return expected


def _grpc_choice(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice of gRPC as others are described: these say nothing of what it cannot hold."""
    assert choice["role"] == "ROLE_ASSISTANT"
    calls = [{k: v for k, v in call.items() if k != "type"} for call in choice["tool_calls"]]
    rest = {"refusal": None, "server_tools": [], "logprobs": False, "tool_calls": calls}
    return {k: v for k, v in choice.items() if k != "role"} | rest


def test_samples_read_as_expected(subtests: pytest.Subtests) -> None:
    """Each recorded exchange of these formats reads as its `expected` block says."""
    for name, sample in EVERY.items():
        with subtests.test(name):
            assert reading(read(sample, [])) == wanted(sample)


def test_samples_are_complete_or_errors(subtests: pytest.Subtests) -> None:
    """A recorded exchange is complete exactly where the provider gave no error."""
    for name, sample in EVERY.items():
        with subtests.test(name):
            answer = read(sample, []).answer
            assert answer.is_complete == ("error" not in sample["expected"])
            assert answer.problem is None


def test_samples_keep_the_providers_request_id(subtests: pytest.Subtests) -> None:
    """The provider's own request id is kept where its header names one."""
    for name, sample in EVERY.items():
        header = sample["expected"].get("request_id_header")
        if header is not None:
            with subtests.test(name):
                assert read(sample, []).provider_request_id == header[1]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 4096])
def test_samples_cut_into_pieces(subtests: pytest.Subtests, size: int) -> None:
    """A recorded answer reads the same byte by byte, and in pieces of any size."""
    for name, sample in EVERY.items():
        with subtests.test(name):
            cuts = list(range(0, len(_sent(sample["response"])), size))
            assert read(sample, cuts) == read(sample, [])
