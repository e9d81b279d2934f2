"""What reading costs: CPU per server-sent event and per whole JSON answer, by format.

Run by `poe bench`; the figures are microseconds of one core.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.anthropic import AnthropicMessages
from proxy.wire.cohere import Cohere
from proxy.wire.dashscope import DashScope
from proxy.wire.encoding import Decoder
from proxy.wire.format import WireFormat
from proxy.wire.gemini import Gemini
from proxy.wire.gemini_interactions import Interactions
from proxy.wire.mistral_conversations import MistralConversations
from proxy.wire.ollama import Ollama
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_completions import OpenAICompletions
from proxy.wire.openai_responses import OpenAIResponses
from proxy.wire.sse import SSEDecoder

EVENTS = 2_000
ROUNDS = 30
STREAM = ResponseHead(status=200, headers=(("content-type", "text/event-stream"),))


def _chat_event(word: str) -> bytes:
    chunk = {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion.chunk",
        "created": 1_764_000_000,
        "model": "teacher-1-0125",
        "system_fingerprint": None,
        "choices": [
            {"index": 0, "delta": {"content": word}, "logprobs": None, "finish_reason": None}
        ],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _message_event(word: str) -> bytes:
    delta = {"type": "text_delta", "text": word}
    event = {"type": "content_block_delta", "index": 0, "delta": delta}
    return f"event: content_block_delta\ndata: {json.dumps(event)}\n\n".encode()


def _response_event(number: int, word: str) -> bytes:
    event = {
        "type": "response.output_text.delta",
        "sequence_number": number,
        "item_id": "msg_0123456789abcdef0123456789abcdef0123456789abcdef01",
        "output_index": 0,
        "content_index": 0,
        "delta": word,
        "logprobs": [],
        "obfuscation": "0123456789ab",
    }
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _completion_event(word: str) -> bytes:
    chunk = {
        "id": "cmpl-0123456789",
        "object": "text_completion",
        "created": 1_764_000_000,
        "model": "teacher-1-0125",
        "choices": [{"index": 0, "text": word, "logprobs": None, "finish_reason": None}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _generate_event(word: str) -> bytes:
    piece = {
        "candidates": [{"content": {"parts": [{"text": word}], "role": "model"}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13},
        "modelVersion": "teacher-1-0125",
        "responseId": "0123456789abcdef",
    }
    return f"data: {json.dumps(piece)}\r\n\r\n".encode()


def _step_event(word: str) -> bytes:
    event = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": word}}
    return f"event: step.delta\ndata: {json.dumps(event)}\n\n".encode()


def _cohere_event(word: str) -> bytes:
    delta = {"message": {"content": {"text": word}}}
    event = {"type": "content-delta", "index": 0, "delta": delta}
    return f"event: content-delta\ndata: {json.dumps(event)}\n\n".encode()


def _ollama_line(word: str) -> bytes:
    line = {
        "model": "teacher-1",
        "created_at": "2026-11-24T12:00:00.000000Z",
        "message": {"role": "assistant", "content": word},
        "done": False,
    }
    return f"{json.dumps(line)}\n".encode()


def _dashscope_event(number: int, word: str) -> bytes:
    choice = {"finish_reason": "null", "message": {"role": "assistant", "content": word}}
    usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
    event = {"output": {"choices": [choice]}, "usage": usage, "request_id": "0123456789abcdef"}
    return f"id:{number}\nevent:result\n:HTTP_STATUS/200\ndata:{json.dumps(event)}\n\n".encode()


def _entry_event(word: str) -> bytes:
    event = {
        "type": "message.output.delta",
        "output_index": 0,
        "id": "msg_0123456789abcdef",
        "content_index": 0,
        "model": "teacher-1-0125",
        "role": "assistant",
        "content": word,
    }
    return f"event: message.output.delta\ndata: {json.dumps(event)}\n\n".encode()


_INCREMENTAL = json.dumps(
    {
        "model": "teacher-1",
        "input": {"prompt": "Hi"},
        "parameters": {"incremental_output": True},
    }
).encode()
_LINES = ResponseHead(status=200, headers=(("content-type", "application/x-ndjson"),))
_STEP = b'data: {"event_type":"step.start","index":0,"step":{"type":"model_output"}}\n\n'

_BEGIN = (
    b'data: {"type":"message_start","message":{"id":"m","model":"c"}}\n\n'
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text"}}\n\n'
)


def _per_event_us(run: Callable[[], None]) -> list[float]:
    """Microseconds of CPU per event, one figure for each round."""
    found: list[float] = []
    for _ in range(ROUNDS):
        before = time.process_time()
        run()
        found.append((time.process_time() - before) / EVENTS * 1e6)
    return found


def _read(
    wire_format: WireFormat,
    chunks: list[bytes],
    head: ResponseHead = STREAM,
    asked: bytes | None = None,
) -> None:
    reader = wire_format.reader(RequestHead(method="POST", path="/"))
    if asked is not None:
        reader.request(asked)
    reader.respond(head)
    decoder = Decoder(None)
    for chunk in chunks:
        reader.feed(decoder.feed(chunk))
    reader.finish()


def _frame(chunks: list[bytes]) -> None:
    decoder = SSEDecoder()
    for chunk in chunks:
        decoder.feed(chunk)


def main() -> None:
    """Print the cost of framing alone, and of each format, one event in each chunk."""
    words = [f" word{n}" for n in range(EVENTS)]
    chat = [_chat_event(word) for word in words]
    messages = [_BEGIN, *(_message_event(word) for word in words)]
    responses = [_response_event(number, word) for number, word in enumerate(words)]
    completions = [_completion_event(word) for word in words]
    generated = [_generate_event(word) for word in words]
    steps = [_STEP, *(_step_event(word) for word in words)]
    cohere = [_cohere_event(word) for word in words]
    ollama = [_ollama_line(word) for word in words]
    dashscope = [_dashscope_event(number, word) for number, word in enumerate(words)]
    entries = [_entry_event(word) for word in words]
    for name, run in (
        ("framing (sse)", lambda: _frame(chat)),
        ("openai.chat", lambda: _read(OpenAIChat(), chat)),
        ("openai.responses", lambda: _read(OpenAIResponses(), responses)),
        ("openai.completions", lambda: _read(OpenAICompletions(), completions)),
        ("gemini.generateContent", lambda: _read(Gemini(), generated)),
        ("gemini.interactions", lambda: _read(Interactions(), steps)),
        ("anthropic.messages", lambda: _read(AnthropicMessages(), messages)),
        ("cohere.v2", lambda: _read(Cohere("v2"), cohere)),
        ("ollama.chat", lambda: _read(Ollama("chat"), ollama, _LINES)),
        ("dashscope", lambda: _read(DashScope(), dashscope, asked=_INCREMENTAL)),
        ("mistral.conversations", lambda: _read(MistralConversations(), entries)),
    ):
        costs = _per_event_us(run)
        p50 = statistics.median(costs)
        sys.stdout.write(f"{name:22} {p50:6.2f} µs per event (p50), best {min(costs):6.2f} µs\n")


if __name__ == "__main__":
    main()
