"""Calls by curl, as a shell script makes them: the JSON is written, and read, by hand."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.e2e.sdk_asking import Ask, Said, arguments

__all__ = ["CurlError", "chat"]

_BOUND_S = "60"


class CurlError(Exception):
    """curl ended with a failure: `status` is the answer's."""

    def __init__(self, body: str, status: int) -> None:
        super().__init__(body)
        self.status_code = status


def chat(ask: Ask) -> Said:
    """A chat completion; `--fail-with-body` is how a script sees a refusal."""
    with tempfile.TemporaryDirectory() as folder:
        # Into a file: on standard output an answer to a second try stands behind the first one.
        path = Path(folder) / "answer"
        done = subprocess.run(
            (
                *("curl", "-sS", "--fail-with-body", "-m", _BOUND_S, "-o", str(path)),
                *("--retry", str(ask.tries), "-w", "%{http_code}"),
                *("-H", f"Authorization: Bearer {ask.key}", "-H", "Content-Type: application/json"),
                *("--data", json.dumps({**ask.chat, "stream": ask.is_streamed})),
                f"{ask.base}/v1/chat/completions",
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        body = path.read_text() if path.exists() else done.stderr
    if done.returncode:
        raise CurlError(body, int(done.stdout))
    return _streamed(body) if ask.is_streamed else _whole(body)


def _whole(body: str) -> Said:
    message: Any = json.loads(body)["choices"][0]["message"]
    called = (call["function"] for call in message.get("tool_calls") or ())
    tools = [(call["name"], arguments(call["arguments"])) for call in called]
    return Said(text=message["content"] or "", tools=tools)


def _streamed(body: str) -> Said:
    frames = (line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data:"))
    deltas = (
        choice["delta"]
        for frame in frames
        if frame != "[DONE]"
        for choice in json.loads(frame)["choices"]
    )
    return Said(text="".join(delta.get("content") or "" for delta in deltas))
