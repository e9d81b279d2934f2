"""A session of Google's genuine SDK in a process of its own; one JSON object a line for each turn."""

import asyncio
import json
import sys
from typing import Any

from google import genai


async def ask(session: Any, case: str) -> str:
    """The words of one turn."""
    turn = {"role": "user", "parts": [{"text": f"case:{case}"}]}
    await session.send_client_content(turns=turn, turn_complete=True)
    return "".join([message.text or "" async for message in session.receive()])


async def main(url: str, model: str, kinds: list[str]) -> None:
    """All of these in one session."""
    options: Any = {"base_url": url}
    client = genai.Client(api_key="the-user-has-some-key", http_options=options)
    config: Any = {"response_modalities": ["TEXT"]}
    async with client.aio.live.connect(model=model, config=config) as session:
        for kind in kinds:
            sys.stdout.write(json.dumps({"kind": kind, "text": await ask(session, kind)}) + "\n")


if __name__ == "__main__":
    _, base, asked_model, *wanted = sys.argv
    asyncio.run(main(base, asked_model, wanted))
