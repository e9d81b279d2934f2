"""Every genuine SDK in one process, as a user's script: `python -m tests.e2e.sdk_every FILE`.

The file has one JSON object a line (`case`, `base`, `model`); prints one for each: what the SDK made
of the answer, or what it raised.
"""

import asyncio
import contextlib
import json
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.e2e import sdk_curl as curl
from tests.e2e import sdk_libraries as libraries
from tests.e2e import sdk_openai_like as like
from tests.e2e import sdk_own_formats as own
from tests.e2e.sdk_asking import Ask, Said

__all__ = ["ASYNC", "SYNC"]

SYNC: Mapping[str, Callable[[Ask], Said]] = MappingProxyType(
    {
        "openai": like.chat,
        "openai-responses": like.responses,
        "groq": like.chat,
        "together": like.chat,
        "mistralai": like.mistral,
        "litellm": like.litellm,
        "anthropic": own.anthropic,
        "google-genai": own.gemini,
        "cohere": own.cohere,
        "boto3": own.bedrock,
        "curl": curl.chat,
        "langchain-openai": libraries.langchain,
        "instructor": libraries.instructor,
        "llm": libraries.llm,
    }
)
ASYNC: Mapping[str, Callable[[Ask], Awaitable[Said]]] = MappingProxyType(
    {
        "openai": like.async_chat,
        "openai-responses": like.async_responses,
        "groq": like.async_chat,
        "together": like.async_chat,
        "mistralai": like.async_mistral,
        "litellm": like.async_litellm,
        "anthropic": own.async_anthropic,
        "google-genai": own.async_gemini,
        "cohere": own.async_cohere,
        "langchain-openai": libraries.async_langchain,
        "instructor": libraries.async_instructor,
        "llm": libraries.async_llm,
        "pydantic-ai": libraries.async_pydantic_ai,
        "distilabel": libraries.async_distilabel,
    }
)


def _status(error: Exception) -> int | None:
    """The status that an SDK's exception names, wherever it keeps it."""
    metadata = getattr(error, "response", None)
    if isinstance(metadata, dict):  # botocore
        status: int = metadata["ResponseMetadata"]["HTTPStatusCode"]
        return status
    named = (getattr(error, name, None) for name in ("status_code", "code"))
    return next((value for value in named if isinstance(value, int)), None)


async def _made(ask: Ask) -> dict[str, Any]:
    client, _, mode, _ = ask.case.split(".")
    try:
        said = SYNC[client](ask) if mode == "sync" else await ASYNC[client](ask)
    except Exception as error:  # noqa: BLE001 - what a genuine SDK raises is what is asked
        name = type(error).__name__
        return {"raised": name, "status": _status(error), "message": str(error)}
    return {"raised": None, **asdict(said)}


def main() -> None:
    """Make each call of the input and say what came of it."""
    # One loop for all: LangChain keeps its asynchronous client beyond a call.
    with asyncio.Runner() as runner:
        for line in Path(sys.argv[1]).read_text().splitlines():
            ask = Ask(**json.loads(line))
            began = time.monotonic()
            with contextlib.redirect_stdout(sys.stderr):  # libraries print hints on stdout
                made = runner.run(_made(ask))
            took_s = round(time.monotonic() - began, 2)
            sys.stdout.write(json.dumps({"case": ask.case, "took_s": took_s, **made}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
