"""The calls of a user's script, made by the genuine SDKs in a process of their own.

Prints one JSON object a line for each call: what came back, or what the SDK raised.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

_TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
]


def say(kind: str, **record: object) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps({"kind": kind, **record}) + "\n")
    sys.stdout.flush()


def prompt(case: str) -> list[Any]:
    """A prompt that carries a case."""
    return [{"role": "user", "content": f"case:{case}"}]


def attempt(kind: str, call: Callable[[], object]) -> None:
    """Say what a call raises."""
    import anthropic
    import openai

    try:
        call()
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        exchange = error.response.headers.get("x-inbond-exchange")
        say(
            kind,
            raised=type(error).__name__,
            status=error.status_code,
            message=error.message,
            exchange=exchange,
        )
    except (openai.APIConnectionError, anthropic.APIConnectionError) as error:
        say(kind, raised=type(error).__name__)
    else:
        say(kind, raised=None)


def with_openai(url: str | None, model: str, kinds: Iterable[str]) -> None:
    """Calls by OpenAI's SDK."""
    import openai

    client = openai.OpenAI(base_url=url, max_retries=0, timeout=60)
    create: Any = client.chat.completions.create
    for kind in kinds:
        asked: dict[str, Any] = {"model": model, "messages": prompt(kind), "max_tokens": 64}
        match kind.partition(".")[0]:
            case "plain":
                raw = client.chat.completions.with_raw_response.create(**asked)
                text = raw.parse().choices[0].message.content
                say(kind, text=text, exchange=raw.headers["x-inbond-exchange"])
            case "stream":
                words = [
                    choice.delta.content or ""
                    for event in create(**asked, stream=True)
                    for choice in event.choices
                ]
                say(kind, text="".join(words))
            case "async":
                say(kind, text=asyncio.run(_async_openai(url, asked)))
            case "tools":
                message = create(**asked, tools=_TOOLS).choices[0].message
                say(kind, tool=message.tool_calls[0].function.name)
            case "held":
                attempt(kind, lambda: create(**asked, logprobs=True))  # noqa: B023 - called at once
            case _:
                attempt(kind, lambda: create(**asked))  # noqa: B023 - called at once


async def _async_openai(url: str | None, asked: dict[str, Any]) -> str:
    import openai

    async with openai.AsyncOpenAI(base_url=url, max_retries=0, timeout=60) as client:
        words = ""
        events: Any = await client.chat.completions.create(**asked, stream=True)
        async for event in events:
            for choice in event.choices:
                words += choice.delta.content or ""
        return words


def with_anthropic(url: str | None, model: str, kinds: Iterable[str]) -> None:
    """Calls by Anthropic's SDK."""
    import anthropic

    client = anthropic.Anthropic(base_url=url, max_retries=0, timeout=60)
    create: Any = client.messages.create
    for kind in kinds:
        asked: dict[str, Any] = {"model": model, "messages": prompt(kind), "max_tokens": 64}
        match kind.partition(".")[0]:
            case "plain":
                raw = client.messages.with_raw_response.create(**asked)
                message: Any = raw.parse()
                exchange = raw.headers["x-inbond-exchange"]
                say(kind, text=message.content[0].text, exchange=exchange)
            case "stream":
                with client.messages.stream(**asked) as stream:
                    say(kind, text="".join(stream.text_stream))
            case "async":
                say(kind, text=asyncio.run(_async_anthropic(url, asked)))
            case _:
                attempt(kind, lambda: create(**asked))  # noqa: B023 - called at once


async def _async_anthropic(url: str | None, asked: dict[str, Any]) -> str:
    import anthropic

    async with anthropic.AsyncAnthropic(base_url=url, max_retries=0, timeout=60) as client:
        message: Any = await client.messages.create(**asked)
        text: str = message.content[0].text
        return text


if __name__ == "__main__":
    _, name, base, asked_model, *wanted = sys.argv
    calls = with_openai if name == "openai" else with_anthropic
    calls(base or None, asked_model, wanted)
