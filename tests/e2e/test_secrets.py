"""Secrets (P4): whatever a client or the proxy holds, no record, log, error, page or export has it."""

import base64
import contextlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from proxy.store.bodies import Absent, read_body
from proxy.store.tables import SaltRow
from tests.e2e.harness import CUSTODY, Workspace
from tests.e2e.teacher import ask, teachers

pytestmark = pytest.mark.slow

_HEADERS = {
    "authorization": "Bearer {}",
    "x-api-key": "{}",
    "api-key": "{}",
    "x-goog-api-key": "{}",
    "cookie": "session={}",
    "x-amz-security-token": "{}",
    "x-custom-secret": "{}",
}
_PARAMETERS = ("key", "api_key", "access_token")


def _canary(place: str) -> str:
    return f"canary-{place}-9f3b7c"


CANARIES = [
    *(_canary(name) for name in (*_HEADERS, *_PARAMETERS, "tunnel", "userinfo", "stray")),
    *CUSTODY.values(),
]


async def _calls(workspace: Workspace, url: str) -> list[str]:
    """Calls that carry every canary: answered, failed, refused, unidentified; gives what came back."""
    headers = {name: shape.format(_canary(name)) for name, shape in _HEADERS.items()}
    known = {"x-inbond-key": workspace.key}
    query = "&".join(f"{name}={_canary(name)}" for name in _PARAMETERS)
    stray = {"x-inbond-key": f"ib_{_canary('stray')}"}
    path, body = f"/plain/v1/chat/completions?{query}", ask("secret")
    rival = {"x-inbond-key": workspace.keys["rival"]}
    got: list[str] = []
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        for sent, to, content in (
            (headers | known, path, body),
            (headers | known, path, ask("secret", is_streamed=True)),
            (headers | known, path.replace("/plain/", "/claude/").replace("chat/", ""), body),
            (headers | known, path, b"not json"),
            (headers | known, path.replace("/chat/completions", "/files"), body),
            (headers | rival, f"/openai/v1/chat/completions?{query}", ask("x", model="gpt-4o")),
            (headers, path, body),
            (headers | stray, path, body),
            (headers | known, f"/nowhere/{query}", body),
        ):
            answer = await client.post(to, headers=sent, content=content)
            got.append(f"{answer.headers} {answer.text}")
    return got + await _tunnels(workspace, headers)


async def _tunnels(workspace: Workspace, headers: dict[str, str]) -> list[str]:
    """Calls in opened tunnels, and tunnels that are not opened."""
    trust = str(workspace.settings.keys_directory / "ca.pem")
    got: list[str] = []
    for name in (workspace.key, _canary("tunnel")):
        proxy = httpx.Proxy(f"http://{workspace.settings.listen}", auth=(name, ""))
        async with httpx.AsyncClient(
            proxy=proxy, verify=_trusting(trust), trust_env=False, timeout=60
        ) as client:
            for host in ("sealed.teacher.test", "unlisted.test"):
                url = f"https://{host}/v1/chat/completions?key={_canary('key')}"
                with contextlib.suppress(httpx.ProxyError, httpx.ConnectError):
                    answer = await client.post(url, headers=headers, content=ask("tunnel"))
                    got.append(f"{answer.headers} {answer.text}")
    return got


def _trusting(path: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=path)


def _files(workspace: Workspace) -> Iterator[tuple[str, bytes]]:
    """Every byte that processes left: the workspace without its keys, and what was printed."""
    for path in sorted(workspace.directory.parent.rglob("*")):
        inner = path.relative_to(workspace.directory.parent).parts
        if path.is_file() and "keys" not in inner:
            yield str(path), path.read_bytes()


def _bodies(workspace: Workspace) -> Iterator[tuple[str, bytes]]:
    """Every body under a seal, opened."""
    with workspace.database() as database, database.read() as connection:
        for seal in connection.execute(select(SaltRow.seal)).scalars().all():
            body = read_body(connection, seal)
            yield f"body {seal[:8]}", b"" if isinstance(body, Absent) else body


def _forms(secret: str) -> list[bytes]:
    """A secret as it may stand somewhere: plain, and in credentials of the `Basic` scheme."""
    pairs = (f"{secret}:", f":{secret}", secret)
    return [secret.encode(), *(base64.b64encode(pair.encode()) for pair in pairs)]


async def test_no_secret_is_found_anywhere(template: Path, tmp_path: Path) -> None:
    """A byte search for every canary finds none in files, logs, answers, bodies and exports."""
    async with teachers() as stage:
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        async with workspace.running("up") as running:
            answers = await _calls(workspace, running.url)
            status = await workspace.said("status")
            console = f"http://{workspace.settings.console}"
            async with httpx.AsyncClient(base_url=console, trust_env=False) as client:
                pages = [(await client.get(path)).text for path in ("/health", "/status")]
            bodies = list(_bodies(workspace))
        said = [
            await workspace.said("dataset", "build", "--student", "shop-assistant"),
            await workspace.said("audit", "export", str(tmp_path / "audit")),
            await workspace.said("review", "list"),
            await workspace.said("key", "list"),
        ]
    assert [done.status for done in said] == [0, 0, 0, 0], [done.err for done in said]
    first = stage.visits[0].seen
    assert first.header("authorization") == f"Bearer {CUSTODY['TEACHER_KEY']}"
    assert first.header("x-custom-secret") == _canary("x-custom-secret")
    assert len(bodies) > 10

    printed = [("status", status.out + status.err), ("pages", json.dumps(pages))]
    printed += [("answer", text) for text in answers]
    printed += [("command", done.out + done.err) for done in said]
    places = [*_files(workspace), *bodies, *((name, text.encode()) for name, text in printed)]
    assert {"inbond.db", "openings.jsonl"} <= {Path(name).name for name, _ in places}
    secrets = [*CANARIES, *workspace.keys.values()]
    found = [
        (secret, name)
        for secret in secrets
        for name, data in places
        if any(form in data for form in _forms(secret))
    ]
    assert found == []
    assert "Traceback" not in workspace.log_text


async def test_a_client_key_where_no_custody_is_never_leaves(
    template: Path, tmp_path: Path
) -> None:
    """Without custody a client key in the teacher's own header is refused; passed-through keys go on."""
    async with teachers() as stage:
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        path = workspace.directory / "inbond.yaml"
        line = "  plain: {account: plain-account, env: TEACHER_KEY}\n"
        text = path.read_text()
        assert line in text
        path.write_text(text.replace(line, ""))
        async with workspace.running() as running:
            url = f"{running.url}/plain/v1/chat/completions"
            async with httpx.AsyncClient(trust_env=False) as client:
                ours = {"authorization": f"Bearer {workspace.key}"}
                refused = await client.post(url, headers=ours, content=ask("ours"))
                theirs = {"authorization": "Bearer their-own", "x-inbond-key": workspace.key}
                passed = await client.post(url, headers=theirs, content=ask("theirs"))
    assert (refused.status_code, passed.status_code) == (401, 200)
    (visit,) = stage.visits
    assert visit.seen.header("authorization") == "Bearer their-own"
    assert visit.seen.header("x-inbond-key") is None
    (record,) = workspace.records()
    account = str(record.call.facts["account.id"])
    assert len(account) == 16
    assert "their-own" not in account
