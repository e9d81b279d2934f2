"""The matrix of genuine SDKs at work: one proxy, one teacher, and a user's script for each mode.

What the SDK parsed, what the teacher saw and what the ledger has are compared call by call.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.harness import MODEL, Record, Workspace
from tests.e2e.sdk_asking import BAD_MODEL, arguments
from tests.e2e.sdk_cases import VIAS, SdkCase
from tests.e2e.sdk_teacher import BEDROCK_HOST, HOST, sdk_teacher, transcript_of
from tests.e2e.teacher import authority, case_of
from tests.proxy.upstream import Seen
from tests.proxy.wire.playback import Transcript

__all__ = ["Played", "Script", "played"]

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
_CUSTODY = """\
  signed: {account: signed-account, env: AWS_REAL_KEY}
  google-gemini-api: {account: main, env: TEACHER_KEY}
"""
_BOUND_S = 480.0
_USERS_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY")
_AWS_KEY = "AKIDCUSTODYCANARY:custody-canary-aws-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A user's script: the command that takes a file of calls and says what came of each."""

    name: str
    command: tuple[str, ...]


def _workspace(template: Path, folder: Path, port: int) -> Workspace:
    """A workspace with a rule against one name, and a teacher at Amazon's address."""
    more = _BEDROCK.format(host=BEDROCK_HOST, port=port, model=MODEL)
    workspace = Workspace.copy(
        template, folder, sealed=port, authority=authority().cert_pem.bytes(), more=more
    )
    custody = "\ncustody:\n"
    file = folder / "inbond.yaml"
    file.write_text(file.read_text().replace(custody, custody + _CUSTODY, 1))
    rules = folder / "policies" / "organisation" / "house-rules.yaml"
    rules.write_text(rules.read_text() + _RULE.format(model=BAD_MODEL))
    return workspace


def _line(case: SdkCase, workspace: Workspace) -> str:
    """What the script is told of one call."""
    is_signed = case.wire_format == "bedrock.converse"
    if case.is_refused and case.about.is_named_by_variables:
        base = ""
    elif case.via == "proxy":
        base = f"https://{BEDROCK_HOST if is_signed else HOST}"
    else:
        base = f"http://{workspace.settings.listen}/{'signed' if is_signed else 'every'}"
    model = BAD_MODEL if case.is_refused else MODEL
    return json.dumps({"case": case.name, "base": base, "model": model})


async def _run(
    workspace: Workspace, via: str, cases: Sequence[SdkCase], script: Script
) -> dict[str, dict[str, Any]]:
    """What the SDKs say that run through `inbond run`, by case."""
    file = workspace.directory.with_name(f"{script.name}.{via}.jsonl")
    file.write_text("\n".join(_line(case, workspace) for case in cases if case.via == via))
    out, err = file.with_suffix(".out"), file.with_suffix(".err")
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy.cli", "-C", str(workspace.directory)),
            *("run", "--via", via, "--key", workspace.key, "--"),
            *(*script.command, str(file)),
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
        **dict.fromkeys(_USERS_KEYS, "the-user-has-some-key"),
        "HF_HUB_OFFLINE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LLM_USER_PATH": str(folder),
    }
    return kept | own


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of the calls, by case."""

    key: str
    """The client key that all of them carried."""
    said: Mapping[str, dict[str, Any]]
    records: Mapping[str, list[Record]]
    visits: Mapping[str, list[Seen]]

    def check(self, case: SdkCase) -> None:
        """The SDK's own parsed answer is the transcript's, and the ledger's exchange is its reading."""
        records = self.records[case.name]
        _check(case, self.said[case.name], records)
        visits = self.visits.get(case.name, [])
        assert [visit.body for visit in visits] == [
            record.body for record in records if record.exchange.outcome != "refused"
        ]
        assert not [visit.line for visit in visits if self.key in str((visit.line, visit.headers))]


async def played(template: Path, folder: Path, cases: Sequence[SdkCase], script: Script) -> Played:
    """Make the calls of a runtime, those of each mode in a process of their own."""
    async with sdk_teacher() as teacher:
        workspace = _workspace(template, folder / "workspace", teacher.port)
        async with workspace.running(AWS_REAL_KEY=_AWS_KEY):
            found = await asyncio.gather(*(_run(workspace, via, cases, script) for via in VIAS))
    records: dict[str, list[Record]] = {}
    for record in workspace.records():
        records.setdefault(case_of(record.body), []).append(record)
    said = found[0] | found[1]
    without = {name: said.get(name) for name in {case.name for case in cases} ^ set(records)}
    assert not without
    return Played(key=workspace.key, said=said, records=records, visits=teacher.visits)


def _check(case: SdkCase, said: dict[str, Any], records: list[Record]) -> None:
    """One call against its transcript."""
    last = records[-1]
    if case.is_refused:
        assert said["raised"] is not None, said
        assert said["status"] in {403, None}, said
        assert "inbond refused this call" in said["message"], said
        assert last.exchange.id in said["message"], said
        # Where an SDK asks its own provider, that provider's terms may speak first.
        assert "another-teacher" in said["message"] or case.about.is_named_by_variables, said
        assert {record.exchange.outcome for record in records} == {"refused"}
        return
    transcript = transcript_of(case.wire_format, case.kind)
    assert len(records) == 1 + (case.kind == "retry"), said
    *earlier, end = (record.exchange.outcome for record in records)
    # Node's SDKs drop the body of an answer that they try again: sometimes before it has ended.
    dropped = {"client_disconnected"} if case.about.runtime == "node" else set()
    assert end == "complete", (case, records)
    assert set(earlier) <= {"complete"} | dropped, (case, records)
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
        assert [(name, arguments(given)) for name, given in said["tools"]] == called


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
