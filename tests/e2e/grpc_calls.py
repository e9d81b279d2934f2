"""Calls of xAI's genuine SDK in a process of their own; one JSON object a line for each call."""

import asyncio
import json
import sys
from typing import Any

import grpc
import xai_sdk
from xai_sdk.chat import user


def say(kind: str, **record: object) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps({"kind": kind, **record}) + "\n")
    sys.stdout.flush()


def failed(kind: str, error: Any) -> None:
    """Say what the SDK raised."""
    raised = [base.__name__ for base in type(error).__mro__]
    say(kind, raised=raised, status=error.code().name, message=error.details())


def with_sync(host: str, model: str, kind: str) -> None:
    """One call by the synchronous client."""
    client = xai_sdk.Client(api_key="the-user-has-some-key", api_host=host, timeout=60)
    chat = client.chat.create(model=model, messages=[user(f"case:{kind}")], max_tokens=64)
    if ".stream" in kind:
        words = [chunk.content for _, chunk in chat.stream()]
        say(kind, text="".join(words), pieces=len(words))
    elif ".deferred" in kind:
        say(kind, text=chat.defer().content)
    else:
        answer = chat.sample()
        say(kind, text=answer.content, tokens=answer.usage.total_tokens)


async def with_async(host: str, model: str, kind: str) -> None:
    """One call by the asynchronous client."""
    client = xai_sdk.AsyncClient(api_key="the-user-has-some-key", api_host=host, timeout=60)
    chat = client.chat.create(model=model, messages=[user(f"case:{kind}")], max_tokens=64)
    if ".stream" in kind:
        words = [chunk.content async for _, chunk in chat.stream()]
        say(kind, text="".join(words), pieces=len(words))
    else:
        answer = await chat.sample()
        say(kind, text=answer.content, tokens=answer.usage.total_tokens)


def main(host: str, model: str, kinds: list[str]) -> None:
    """Make each call and say what came of it."""
    for kind in kinds:
        try:
            if kind.startswith("async"):
                asyncio.run(with_async(host, model, kind))
            else:
                with_sync(host, model, kind)
        except grpc.RpcError as error:
            failed(kind, error)


if __name__ == "__main__":
    _, teacher, asked_model, *wanted = sys.argv
    main(teacher, asked_model, wanted)
