"""Calls by the SDKs that speak as OpenAI's chat does: OpenAI's own, and those made after it."""

from collections.abc import Iterable
from typing import Any

from tests.e2e.sdk_asking import TOOL, Ask, Said, arguments

__all__ = [
    "async_chat",
    "async_litellm",
    "async_mistral",
    "async_responses",
    "chat",
    "litellm",
    "mistral",
    "responses",
]

_CLIENTS = {
    "openai": ("openai", "OpenAI", "/v1"),
    "groq": ("groq", "Groq", ""),
    "together": ("together", "Together", "/v1"),
}
_BOUND_S = 60


def _client(ask: Ask, prefix: str = "") -> Any:
    name, family, path = _CLIENTS[ask.case.split(".", maxsplit=1)[0].removesuffix("-responses")]
    module = __import__(name)
    make = getattr(module, prefix + family)
    return make(api_key=ask.key, base_url=ask.base + path, max_retries=ask.tries, timeout=_BOUND_S)


def _whole(answer: Any) -> Said:
    message = answer.choices[0].message
    calls = [
        (call.function.name, arguments(call.function.arguments))
        for call in message.tool_calls or ()
    ]
    return Said(text=message.content or "", tools=calls)


def _words(event: Any) -> str:
    return "".join(choice.delta.content or "" for choice in event.choices)


def chat(ask: Ask) -> Said:
    """A chat completion."""
    with _client(ask) as client:
        made = client.chat.completions.create(**ask.chat, stream=ask.is_streamed)
        if ask.is_streamed:
            return Said(text="".join(_words(event) for event in made))
        return _whole(made)


async def async_chat(ask: Ask) -> Said:
    """A chat completion by the asynchronous client."""
    async with _client(ask, "Async") as client:
        made = await client.chat.completions.create(**ask.chat, stream=ask.is_streamed)
        if ask.is_streamed:
            return Said(text="".join([_words(event) async for event in made]))
        return _whole(made)


def _response(ask: Ask) -> dict[str, Any]:
    tools = [{"type": "function", "strict": False, **TOOL["function"]}]
    offered = {"tools": tools} if ask.kind == "tools" else {}
    return {"model": ask.model, "input": ask.prompt, "stream": ask.is_streamed, **offered}


def _responded(answer: Any) -> Said:
    calls = [
        (item.name, arguments(item.arguments))
        for item in answer.output
        if item.type == "function_call"
    ]
    return Said(text=answer.output_text, tools=calls)


def _deltas(events: Iterable[Any]) -> Said:
    words = (event.delta for event in events if event.type == "response.output_text.delta")
    return Said(text="".join(words))


def responses(ask: Ask) -> Said:
    """A response."""
    with _client(ask) as client:
        made = client.responses.create(**_response(ask))
        return _deltas(made) if ask.is_streamed else _responded(made)


async def async_responses(ask: Ask) -> Said:
    """A response by the asynchronous client."""
    async with _client(ask, "Async") as client:
        made = await client.responses.create(**_response(ask))
        if ask.is_streamed:
            return _deltas([event async for event in made])
        return _responded(made)


def _mistral(ask: Ask) -> Any:
    from mistralai.client import Mistral
    from mistralai.client.utils import BackoffStrategy, RetryConfig

    backoff = BackoffStrategy(10, 100, 1.1, 20_000)
    retries = RetryConfig("backoff", backoff, retry_connection_errors=False)
    return Mistral(
        api_key=ask.key,
        server_url=ask.base,
        retry_config=retries if ask.tries else None,
        timeout_ms=_BOUND_S * 1000,
    )


def mistral(ask: Ask) -> Said:
    """A chat completion by Mistral's SDK."""
    with _mistral(ask) as client:
        if not ask.is_streamed:
            return _whole(client.chat.complete(**ask.chat))
        return Said(text="".join(_words(event.data) for event in client.chat.stream(**ask.chat)))


async def async_mistral(ask: Ask) -> Said:
    """A chat completion by Mistral's SDK, asynchronously."""
    async with _mistral(ask) as client:
        if not ask.is_streamed:
            return _whole(await client.chat.complete_async(**ask.chat))
        events = await client.chat.stream_async(**ask.chat)
        return Said(text="".join([_words(event.data) async for event in events]))


def _routed(ask: Ask) -> dict[str, Any]:
    return {
        **ask.chat,
        "model": f"openai/{ask.model}",
        "api_base": f"{ask.base}/v1",
        "api_key": ask.key,
        "stream": ask.is_streamed,
        "max_retries": ask.tries,
        "timeout": _BOUND_S,
    }


def litellm(ask: Ask) -> Said:
    """A chat completion by LiteLLM."""
    from litellm import completion

    made: Any = completion(**_routed(ask))
    if ask.is_streamed:
        return Said(text="".join(_words(event) for event in made))
    return _whole(made)


async def async_litellm(ask: Ask) -> Said:
    """A chat completion by LiteLLM, asynchronously."""
    from litellm import acompletion

    made: Any = await acompletion(**_routed(ask))
    if ask.is_streamed:
        return Said(text="".join([_words(event) async for event in made]))
    return _whole(made)
