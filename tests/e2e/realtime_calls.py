"""Sessions of OpenAI's genuine SDK in a process of their own; one JSON object a line for each."""

import asyncio
import json
import sys
from typing import Any

import openai


def say(kind: str, **record: object) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps({"kind": kind, **record}) + "\n")
    sys.stdout.flush()


async def ask(connection: Any, case: str) -> dict[str, Any]:
    """One response: its words, or the error that came in its place."""
    content = [{"type": "input_text", "text": f"case:{case}"}]
    item = {"type": "message", "role": "user", "content": content}
    await connection.conversation.item.create(item=item)
    await connection.response.create()
    words = ""
    async for event in connection:
        if event.type == "response.output_text.delta":
            words += event.delta
        if event.type == "error":
            return {"error": event.error.message}
        if event.type == "response.done":
            return {"text": words, "response": event.response.id}
    return {"text": words}


async def main(url: str, model: str, kinds: list[str]) -> None:
    """All of these in one session."""
    client = openai.AsyncOpenAI(base_url=url)
    async with client.realtime.connect(model=model) as connection:
        for kind in kinds:
            say(kind, **await ask(connection, kind))


if __name__ == "__main__":
    _, base, asked_model, *wanted = sys.argv
    asyncio.run(main(base, asked_model, wanted))
