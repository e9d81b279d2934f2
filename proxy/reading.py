"""The stored reading of an exchange: what was asked and answered, as JSON that is sealed once.

A dataset row is a part of this document, so that an opened seal proves the row's text to be what the
recorder read at the time of the exchange. Floats occur (temperatures, log-probabilities): these are
bytes under a seal, not a leaf.
"""

import json

from proxy.exchange import (
    Answer,
    Choice,
    Exchange,
    Headers,
    Json,
    Message,
    Request,
    TeacherError,
    ToolCall,
    Usage,
)

__all__ = ["dump", "reading_of"]


_SORTED = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), check_circular=False
)


def dump(value: Json) -> str:
    """JSON text with sorted keys and no spaces."""
    return _SORTED.encode(value)


def reading_of(exchange: Exchange, *, request_headers: Headers, answer_headers: Headers) -> bytes:
    """The document of one exchange; the headers given are those of the allow-list."""
    document: Json = {
        "v": 1,
        "request": {**_request(exchange.request), "headers": _pairs(request_headers)},
        "answer": {**_answer(exchange.answer), "headers": _pairs(answer_headers)},
        "provider_request_id": exchange.provider_request_id,
    }
    return dump(document).encode("utf-8", "backslashreplace")


def _pairs(headers: Headers) -> Json:
    return [[name, value] for name, value in headers]


def _request(request: Request) -> dict[str, Json]:
    return {
        "wire_format": request.wire_format,
        "operation": request.operation,
        "model_asked": request.model_asked,
        "is_streamed": request.is_streamed,
        "is_whole": request.is_whole,
        "is_continued": request.is_continued,
        "previous_response_id": request.previous_response_id,
        "messages": [_message(message) for message in request.messages],
        "tools": request.tools,
        "n": request.n,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "wants_logprobs": request.wants_logprobs,
        "bent_by": list(request.bent_by),
        "retries": request.retries,
    }


def _message(message: Message) -> Json:
    return {
        "role": message.role,
        "text": message.text,
        "tool_calls": [_tool_call(call) for call in message.tool_calls],
        "tool_call_id": message.tool_call_id,
        "name": message.name,
        "has_other_parts": message.has_other_parts,
    }


def _tool_call(call: ToolCall) -> Json:
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def _answer(answer: Answer) -> dict[str, Json]:
    return {
        "status": answer.status,
        "model_served": answer.model_served,
        "served_by": answer.served_by,
        "response_id": answer.response_id,
        "choices": [_choice(choice) for choice in answer.choices],
        "usage": _usage(answer.usage),
        "error": _error(answer.error),
        "is_complete": answer.is_complete,
        "incomplete_reason": answer.incomplete_reason,
        "problem": answer.problem,
    }


def _choice(choice: Choice) -> Json:
    return {
        "index": choice.index,
        "text": choice.text,
        "reasoning": choice.reasoning,
        "refusal": choice.refusal,
        "finish_reason": choice.finish_reason,
        "tool_calls": [_tool_call(call) for call in choice.tool_calls],
        "server_tools": list(choice.server_tools),
        "logprobs": choice.logprobs,
        "is_models_own": choice.is_models_own,
        "has_citations": choice.has_citations,
        "is_verbatim": choice.is_verbatim,
    }


def _usage(usage: Usage | None) -> Json:
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


def _error(error: TeacherError | None) -> Json:
    if error is None:
        return None
    return {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "retry_after_s": error.retry_after_s,
    }
