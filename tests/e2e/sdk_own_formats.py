"""Calls by the SDKs of providers with formats of their own: Anthropic, Google, Cohere and Amazon."""

from typing import Any

from tests.e2e.sdk_asking import TOOL, Ask, Said, arguments

__all__ = [
    "anthropic",
    "async_anthropic",
    "async_cohere",
    "async_gemini",
    "bedrock",
    "cohere",
    "gemini",
]

_BOUND_S = 60
_FUNCTION: dict[str, Any] = TOOL["function"]


def _message(ask: Ask) -> dict[str, Any]:
    schema = _FUNCTION["parameters"]
    tools = [{"name": "weather", "description": "The weather.", "input_schema": schema}]
    offered = {"tools": tools} if ask.kind == "tools" else {}
    return {"model": ask.model, "messages": ask.messages, "max_tokens": 64, **offered}


def _client(ask: Ask, name: str) -> Any:
    import anthropic as module

    make = getattr(module, name)
    return make(api_key=ask.key, base_url=ask.base, max_retries=ask.tries, timeout=_BOUND_S)


def _blocks(made: Any) -> Said:
    calls = [
        (block.name, arguments(block.input)) for block in made.content if block.type == "tool_use"
    ]
    text = "".join(block.text for block in made.content if block.type == "text")
    return Said(text=text, tools=calls)


def anthropic(ask: Ask) -> Said:
    """A message."""
    with _client(ask, "Anthropic") as client:
        if not ask.is_streamed:
            return _blocks(client.messages.create(**_message(ask)))
        with client.messages.stream(**_message(ask)) as stream:
            return Said(text="".join(stream.text_stream))


async def async_anthropic(ask: Ask) -> Said:
    """A message by the asynchronous client."""
    async with _client(ask, "AsyncAnthropic") as client:
        if not ask.is_streamed:
            return _blocks(await client.messages.create(**_message(ask)))
        async with client.messages.stream(**_message(ask)) as stream:
            return Said(text="".join([word async for word in stream.text_stream]))


def _google(ask: Ask) -> tuple[Any, dict[str, Any]]:
    from google import genai
    from google.genai import types

    retries = types.HttpRetryOptions(attempts=ask.tries + 1, initial_delay=0.01, jitter=0.01)
    options = types.HttpOptions(base_url=ask.base, retry_options=retries, timeout=_BOUND_S * 1000)
    schema: Any = {"name": "weather", "parametersJsonSchema": _FUNCTION["parameters"]}
    tool = types.Tool(function_declarations=[schema])
    tools: list[Any] = [tool] if ask.kind == "tools" else []
    config = types.GenerateContentConfig(max_output_tokens=64, tools=tools or None)
    asked = {"model": ask.model, "contents": ask.prompt, "config": config}
    return genai.Client(api_key=ask.key, http_options=options), asked


def _candidate(made: Any) -> Said:
    parts = made.candidates[0].content.parts
    text = "".join(part.text or "" for part in parts if not part.thought)
    calls = [part.function_call for part in parts if part.function_call]
    return Said(text=text, tools=[(call.name, arguments(call.args)) for call in calls])


def _joined(pieces: list[Said]) -> Said:
    tools = [call for piece in pieces for call in piece.tools]
    return Said(text="".join(piece.text for piece in pieces), tools=tools)


def gemini(ask: Ask) -> Said:
    """Content by Google's SDK."""
    client, asked = _google(ask)
    with client:
        if not ask.is_streamed:
            return _candidate(client.models.generate_content(**asked))
        events = client.models.generate_content_stream(**asked)
        return _joined([_candidate(event) for event in events])


async def async_gemini(ask: Ask) -> Said:
    """Content by Google's SDK, asynchronously."""
    client, asked = _google(ask)
    async with client.aio as aio:
        if not ask.is_streamed:
            return _candidate(await aio.models.generate_content(**asked))
        events = await aio.models.generate_content_stream(**asked)
        return _joined([_candidate(event) async for event in events])


def _cohere(ask: Ask, name: str) -> Any:
    import cohere as module

    return getattr(module, name)(api_key=ask.key, base_url=ask.base, timeout=_BOUND_S)


def _options(ask: Ask) -> dict[str, Any]:
    return {**ask.chat, "request_options": {"max_retries": ask.tries}}


def _spoken(made: Any) -> Said:
    message = made.message
    text = "".join(part.text for part in message.content or () if part.type == "text")
    calls = [
        (call.function.name, arguments(call.function.arguments))
        for call in message.tool_calls or ()
    ]
    return Said(text=text, tools=calls)


def _delta(event: Any) -> str:
    return event.delta.message.content.text if event.type == "content-delta" else ""


def cohere(ask: Ask) -> Said:
    """A chat by Cohere's SDK."""
    client = _cohere(ask, "ClientV2")
    if not ask.is_streamed:
        return _spoken(client.chat(**_options(ask)))
    return Said(text="".join(_delta(event) for event in client.chat_stream(**_options(ask))))


async def async_cohere(ask: Ask) -> Said:
    """A chat by Cohere's SDK, asynchronously."""
    client = _cohere(ask, "AsyncClientV2")
    if not ask.is_streamed:
        return _spoken(await client.chat(**_options(ask)))
    events = client.chat_stream(**_options(ask))
    return Said(text="".join([_delta(event) async for event in events]))


def _converse(ask: Ask) -> dict[str, Any]:
    schema = {"json": _FUNCTION["parameters"]}
    tools = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": schema}}]}
    return {
        "modelId": ask.model,
        "messages": [{"role": "user", "content": [{"text": ask.prompt}]}],
        "inferenceConfig": {"maxTokens": 64},
        **({"toolConfig": tools} if ask.kind == "tools" else {}),
    }


def bedrock(ask: Ask) -> Said:
    """A conversation by boto3, signed with a key of the user's; by base URL its id is our key.

    A bearer key of Bedrock is no other way: boto3 sends one to addresses of TLS alone.
    """
    import boto3
    from botocore.config import Config

    retries = {"total_max_attempts": ask.tries + 1, "mode": "standard"}
    by_proxy = ask.case.endswith(".proxy")
    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=ask.base,
        aws_access_key_id="AKIATHEUSERSSOMEKEY0" if by_proxy else ask.key,
        aws_secret_access_key="the-user-has-some-secret",
        config=Config(retries=retries, read_timeout=_BOUND_S),
    )
    if not ask.is_streamed:
        content = client.converse(**_converse(ask))["output"]["message"]["content"]
        return _joined([_part(part) for part in content])
    stream = client.converse_stream(**_converse(ask))["stream"]
    words = (event.get("contentBlockDelta", {}).get("delta", {}).get("text") for event in stream)
    return Said(text="".join(word or "" for word in words))


def _part(part: dict[str, Any]) -> Said:
    if "toolUse" in part:
        used = part["toolUse"]
        return Said(tools=[(used["name"], arguments(used["input"]))])
    cited = part.get("citationsContent", {}).get("content", [part])
    return Said(text="".join(each.get("text", "") for each in cited))
