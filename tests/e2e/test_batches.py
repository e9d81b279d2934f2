"""Batches by the genuine SDKs through running proxies, in both modes and across a restart."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.batch_calls import COUNT
from tests.e2e.harness import MODEL, Record, Workspace
from tests.e2e.teacher import TEXT, chat, message, teachers
from tests.proxy.upstream import Script, Seen, chunked, head

pytestmark = pytest.mark.slow

_RESULTS = "https://claude.teacher.test/v1/messages/batches/msgbatch-1/results"


def _json(body: object) -> Script:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (head(Content_Type="application/json", Content_Length=str(len(data))), data)


def _lines(*lines: object) -> Script:
    """Results in pieces that end inside of lines."""
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    pieces = [data[start : start + 37] for start in range(0, len(data), 37)]
    start = head(Content_Type="application/x-jsonl", Transfer_Encoding="chunked")
    return (start, *chunked(*pieces))


def _anthropic(seen: Seen) -> Script:
    if "/results" in seen.line:
        ids = [f"line-{n}" for n in range(COUNT)]
        return _lines(
            *(
                {
                    "custom_id": name,
                    "result": {"type": "succeeded", "message": json.loads(message(name))},
                }
                for name in reversed(ids)
            )
        )
    is_made = seen.line.startswith("POST")
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    return _json(
        {
            "id": "msgbatch-1",
            "type": "message_batch",
            "processing_status": "in_progress" if is_made else "ended",
            "results_url": None if is_made else _RESULTS,
            "request_counts": counts,
            "created_at": "2026-11-24T05:00:00Z",
            "expires_at": "2026-11-25T05:00:00Z",
        }
    )


def _openai(seen: Seen) -> Script:
    if "/content" in seen.line:
        return _lines(
            *(
                {
                    "custom_id": f"line-{n}",
                    "response": {
                        "status_code": 200,
                        "body": json.loads(chat(f"line-{n}", finish="stop")),
                    },
                    "error": None,
                }
                for n in range(COUNT)
            )
        )
    if "/files" in seen.line:
        file = {"id": "file-1", "object": "file", "purpose": "batch", "filename": "x", "bytes": 1}
        return _json({**file, "created_at": 1, "status": "processed"})
    batch = {"id": "batch-1", "object": "batch", "input_file_id": "file-1", "created_at": 1}
    batch |= {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    if seen.line.startswith("POST"):
        return _json({**batch, "status": "validating"})
    return _json({**batch, "status": "completed", "output_file_id": "file-2"})


def _speak(seen: Seen) -> Script:
    return _anthropic(seen) if "/messages/" in seen.line else _openai(seen)


async def _run(workspace: Workspace, via: str, sdk: str, batch: str) -> list[dict[str, Any]]:
    """What a script says that runs a genuine SDK through `inbond run`."""
    teacher = {"anthropic": "claude", "openai": "sealed"}[sdk]
    url = f"http://{workspace.settings.listen}/{teacher}"
    if via == "proxy":
        url = f"https://{teacher}.teacher.test"
    script = Path(__file__).with_name("batch_calls.py")
    done = await workspace.said(
        *("run", "--via", via, "--key", workspace.key, "--"),
        *(sys.executable, "-m", f"tests.e2e.{script.stem}", sdk, url, MODEL, batch),
        is_child=True,
        OPENAI_API_KEY="the-user-has-some-key",
        ANTHROPIC_API_KEY="the-user-has-some-key",
    )
    assert done.status == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.mark.parametrize(
    ("sdk", "modes"),
    [("anthropic", ("proxy", "base-url")), ("openai", ("base-url", "proxy"))],
    ids=["anthropic", "openai"],
)
async def test_a_batch_outlives_the_proxy_that_sent_it(
    template: Path, tmp_path: Path, sdk: str, modes: tuple[str, str]
) -> None:
    """Made in one mode, fetched twice in the other after a restart: each line ends once, admitted."""
    async with teachers() as stage:
        stage.otherwise = _speak
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        async with workspace.running():
            (made,) = await _run(workspace, modes[0], sdk, "")
        assert [len(line.exchanges) for line in _of_lines(workspace)] == [0] * COUNT
        async with workspace.running():
            for _ in range(2):
                _, *said = await _run(workspace, modes[1], sdk, made["batch"])
                assert {one["id"] for one in said} == {f"line-{n}" for n in range(COUNT)}
                assert {one["text"] for one in said} == {TEXT}
    lines = _of_lines(workspace)
    assert len(lines) == COUNT
    assert all(line.is_admitted for line in lines)
    assert [line.reading["request"]["messages"][0]["text"] for line in lines] == [
        f"case:line{n}" for n in range(COUNT)
    ]
    assert {line.call.facts["operation"] for line in lines} == {"chat"}
    assert all(record.exchange.outcome == "complete" for record in workspace.records())
    sealed = await workspace.said("dataset", "build", "--student", "shop-assistant")
    assert sealed.status == 0, sealed.err
    assert sealed.record["rows"] == COUNT


def _of_lines(workspace: Workspace) -> list[Record]:
    return [record for record in workspace.records() if record.call.line is not None]
