"""Every genuine Python SDK × mode × sync and async × plain, stream, tools, error, refusal, retry.

Promises: what the SDK parses is what the teacher said, and what the ledger has is what both did
(P2, P3); a refusal raises the SDK's own exception (P9).
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import MODEL, Record, Workspace
from tests.e2e.sdk_asking import BAD_MODEL, arguments
from tests.e2e.sdk_cases import CASES, SdkCase
from tests.e2e.sdk_teacher import BEDROCK_HOST, HOST, SdkTeacher, sdk_teacher, transcript_of
from tests.e2e.teacher import authority, case_of
from tests.proxy.wire.playback import Transcript

pytestmark = pytest.mark.slow

_RULE = """\
  - id: another-teacher
    forbid: request
    when: {{model.asked: {model}}}
    because: Nobody here has looked at that teacher.
    fix: Ask for a teacher that is approved.
"""
_BEDROCK = """\
  - id: signed
    host: {host}
    prefix: signed
    formats: [bedrock.converse]
    auth: sigv4
    connect: "127.0.0.1:{port}"
    model:
      id: {model}
      names: ["*"]
      repository: a package index
      revision: "1"
      licence: Apache-2.0
"""
_BOUND_S = 480.0
_AWS_KEY = "AKIDCUSTODYCANARY:custody-canary-aws-secret"


def _workspace(template: Path, folder: Path, port: int) -> Workspace:
    """A workspace with a rule against one name, and a teacher at Amazon's address."""
    more = _BEDROCK.format(host=BEDROCK_HOST, port=port, model=MODEL)
    workspace = Workspace.copy(
        template, folder, sealed=port, authority=authority().cert_pem.bytes(), more=more
    )
    custody = "\ncustody:\n"
    file = folder / "inbond.yaml"
    signed = f"{custody}  signed: {{account: signed-account, env: AWS_REAL_KEY}}\n"
    file.write_text(file.read_text().replace(custody, signed, 1))
    rules = folder / "policies" / "organisation" / "house-rules.yaml"
    rules.write_text(rules.read_text() + _RULE.format(model=BAD_MODEL))
    return workspace


def _line(case: SdkCase, workspace: Workspace) -> str:
    """What the script is told of one call."""
    is_signed = case.wire_format == "bedrock.converse"
    if case.via == "proxy":
        base = f"https://{BEDROCK_HOST if is_signed else HOST}"
    else:
        base = f"http://{workspace.settings.listen}/{'signed' if is_signed else 'every'}"
    model = BAD_MODEL if case.kind == "refused" else MODEL
    return json.dumps({"case": case.name, "base": base, "model": model})


async def _run(workspace: Workspace, via: str) -> dict[str, dict[str, Any]]:
    """What the SDKs say that run through `inbond run`, by case."""
    file = workspace.directory.with_name(f"{via}.jsonl")
    file.write_text("\n".join(_line(case, workspace) for case in CASES if case.via == via))
    out, err = file.with_suffix(".out"), file.with_suffix(".err")
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy.cli", "-C", str(workspace.directory)),
            *("run", "--via", via, "--key", workspace.key, "--"),
            *(sys.executable, "-m", "tests.e2e.sdk_every", str(file)),
            env=_environ(file.parent),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            async with asyncio.timeout(_BOUND_S):
                status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
    assert status == 0, err.read_text()
    return {said["case"]: said for said in map(json.loads, out.read_text().splitlines())}


def _environ(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOND_")}
    own = {
        "OPENAI_API_KEY": "the-user-has-some-key",
        "HF_HUB_OFFLINE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LLM_USER_PATH": str(folder),
    }
    return kept | own


@contextlib.asynccontextmanager
async def _played(
    template: Path, folder: Path
) -> AsyncIterator[tuple[SdkTeacher, Workspace, dict[str, dict[str, Any]]]]:
    async with sdk_teacher() as teacher:
        workspace = _workspace(template, folder / "workspace", teacher.port)
        async with workspace.running(AWS_REAL_KEY=_AWS_KEY):
            found = await asyncio.gather(_run(workspace, "proxy"), _run(workspace, "base-url"))
        yield teacher, workspace, found[0] | found[1]


async def test_every_sdk_hears_what_the_teacher_said(
    template: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """The SDK's own parsed answer is the transcript's, and the ledger's exchange is its reading."""
    async with _played(template, tmp_path) as (teacher, workspace, said):
        records: dict[str, list[Record]] = {}
        for record in workspace.records():
            records.setdefault(case_of(record.body), []).append(record)
    assert set(records) == {case.name for case in CASES}
    for case in CASES:
        with subtests.test(case.name):
            _check(case, said[case.name], records[case.name])
            seen = [visit.body for visit in teacher.visits.get(case.name, ())]
            assert seen == [
                record.body for record in records[case.name] if record.exchange.outcome != "refused"
            ]


def _check(case: SdkCase, said: dict[str, Any], records: list[Record]) -> None:
    """One call against its transcript."""
    last = records[-1]
    if case.kind == "refused":
        assert said["raised"] is not None, said
        assert said["status"] in {403, None}, said
        assert "another-teacher" in said["message"], said
        assert {record.exchange.outcome for record in records} == {"refused"}
        return
    transcript = transcript_of(case.wire_format, case.kind)
    assert len(records) == 1 + (case.kind == "retry"), said
    assert [record.exchange.outcome for record in records] == ["complete"] * len(records)
    assert last.reading["request"]["wire_format"] == case.wire_format
    _check_reading(transcript, last)
    if case.kind == "error":
        assert said["raised"] is not None, said
        assert said["status"] in {transcript.status, None}, said
        assert transcript.expected["answer"]["error"]["message"] in said["message"], said
        return
    (choice,) = transcript.expected["answer"]["choices"]
    assert said["raised"] is None, said
    assert said["text"] == (choice.get("text") or "")
    if case.kind != "stream":
        called = [(c["name"], arguments(c["arguments"])) for c in choice.get("tool_calls", ())]
        assert [tuple(call) for call in said["tools"]] == called


def _check_reading(transcript: Transcript, record: Record) -> None:
    answer, expected = record.reading["answer"], transcript.expected["answer"]
    for name in ("status", "model_served", "response_id"):
        assert answer[name] == expected.get(name)
    assert (answer["error"] or {}).get("message") == expected.get("error", {}).get("message")
    told = [
        (
            choice["text"] or "",
            choice["finish_reason"],
            [call["arguments"] for call in choice["tool_calls"]],
        )
        for choice in answer["choices"]
    ]
    assert told == [
        (
            choice.get("text") or "",
            choice.get("finish_reason"),
            [call["arguments"] for call in choice.get("tool_calls", ())],
        )
        for choice in expected.get("choices", ())
    ]
