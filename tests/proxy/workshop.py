"""A workspace of its own for a test, with calls that went through the real gate into its ledger."""

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import time_machine
from click.testing import CliRunner, Result

from policies.model import Fact
from proxy.call import Call
from proxy.cli import main
from proxy.cli.init import make_workspace
from proxy.cli.openledger import Ledger, open_ledger
from proxy.clock import utc_now
from proxy.contributors import ContributorsOnRecord
from proxy.counting import Counting
from proxy.declared import declared_in
from proxy.exchange import Headers, Outcome, RequestHead
from proxy.gate import Forward
from proxy.identity import Caller
from proxy.inforce import put_in_force, workspace_bundle
from proxy.keys import load_keys
from proxy.ledger.entry import Entry
from proxy.recorder import Recorder
from proxy.registry import registry_of
from proxy.route import Registry, Route, TeacherSettings
from proxy.selection import every_entry
from proxy.services import Clearance, Services
from proxy.settings import Settings, load_settings
from proxy.wire.dialects import format_for

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""When the tests are: terms of the library are in force then, and reviewed."""

_PATH = "/v1/chat/completions"
_TEACHERS = """
teachers:
  - id: house
    host: teacher.example.internal
    prefix: house
    connect: 127.0.0.1:9
    formats: [openai.chat, openai.responses]
    model:
      id: smollm2-135m-instruct
      names: [smollm2]
      repository: example/smollm2
      revision: r1
      licence: Apache-2.0
"""
_CUT_SHORT = """
  - id: cut-short
    review: training
    when: {response.finish: length}
    because: An answer that stops in the middle teaches a student to stop in the middle.
"""
STUDENT = """\
inbond: 1
student: {name}
owner: ml@example.org
purpose: {purpose}
task: generate
{competes}release: internal
commercial: false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One choice of an answer."""

    text: str | None = "It is green."
    finish: str = "stop"
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call to a teacher and what it answered."""

    prompt: str = "What colour is grass?"
    said: Sequence[Said] = (Said(),)
    project: str = "garden"
    student: str = "gardener"
    host: str = "teacher.example.internal"
    model: str = "smollm2"
    has_picture: bool = False
    headers: Headers = ()
    path: str = _PATH
    outcome: Outcome = Outcome.COMPLETE
    """How the connection ended; of an answer that did not end well half is seen."""

    def request(self) -> bytes:
        """The body the client sends."""
        content: list[Mapping[str, object]] = [{"type": "text", "text": self.prompt}]
        if self.has_picture:
            content.append({"type": "image_url", "image_url": {"url": "https://a.example/x.png"}})
        messages = [{"role": "user", "content": content}]
        return json.dumps({"model": self.model, "messages": messages, "n": len(self.said)}).encode()

    def answer(self) -> bytes:
        """The body the teacher answers with."""
        choices = [
            {
                "index": at,
                "message": {"role": "assistant", "content": one.text, "refusal": one.refusal},
                "finish_reason": one.finish,
            }
            for at, one in enumerate(self.said)
        ]
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        return json.dumps(
            {"id": "r1", "object": "chat.completion", "model": self.model, "choices": choices,
             "usage": usage}
        ).encode()  # fmt: skip


@cache
def _template() -> tuple[TemporaryDirectory[str], Path]:
    """A workspace made once a process; the first part keeps it alive."""
    holder: TemporaryDirectory[str] = TemporaryDirectory(prefix="inbond-")
    directory = Path(holder.name) / "work"
    with time_machine.travel(NOW, tick=True):
        make_workspace(directory, organisation="Example Org")
    with (directory / "inbond.yaml").open("a") as settings:
        settings.write(_TEACHERS)
    rules = directory / "policies/organisation/house-rules.yaml"
    head, mark, tail = rules.read_text().partition("\n# Switch on")
    rules.write_text(f"{head}{_CUT_SHORT}{mark}{tail}")
    return holder, directory


@dataclass(slots=True, kw_only=True)
class Workshop:
    """One workspace. `declare` a student, let it `ask`, then run commands."""

    directory: Path
    calls: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, directory: Path) -> "Workshop":
        """A fresh workspace that runs a teacher of its own, with the student `gardener`."""
        shutil.copytree(_template()[1], directory)
        made = cls(directory=directory)
        made.declare("gardener")
        return made

    @property
    def settings(self) -> Settings:
        """Of the workspace."""
        return load_settings(self.directory, {}, TeacherSettings)

    @property
    def key(self) -> str:
        """The log key to pin."""
        return load_keys(self.settings.keys_directory).log.verifier.to_text()

    def declare(self, name: str, *, competes: str = "", purpose: str = "distil-narrow") -> Path:
        """The file of a declared student; `competes` is YAML, such as `[OpenAI]`."""
        path = self.directory / f"policies/students/{name}.yaml"
        line = f"competes_with: {competes}\n" if competes else ""
        path.write_text(STUDENT.format(name=name, purpose=purpose, competes=line))
        return path

    def ask(self, *asked: Asked) -> list[str]:
        """The ids of the exchanges of calls that went through the gate, in order."""
        with open_ledger(self.settings) as ledger:
            bundle = workspace_bundle(self.settings, ledger.database)
            put_in_force(ledger.log, bundle, "user:1")
            recorder = Recorder(ledger.log)
            services = Services(
                bundle=bundle,
                recorder=recorder,
                counting=Counting(bundle, bytes(32)),
                worker="worker-1",
                keep_wire=False,
                request_limit_bytes=2**20,
                answer_limit_bytes=2**20,
                now=utc_now,
                resolve=_resolve,
                clearance=_not_cleared,
                contributors=ContributorsOnRecord(ledger.database),
                declared=declared_in(self.settings),
            )
            try:
                return asyncio.run(self._all(services, asked))
            finally:
                recorder.close()

    async def _all(self, services: Services, asked: Sequence[Asked]) -> list[str]:
        registry = registry_of(self.settings)
        return [await self._one(services, registry, each) for each in asked]

    async def _one(self, services: Services, registry: Registry, asked: Asked) -> str:
        route = registry.route(host=asked.host, port=443, target=asked.path)
        assert isinstance(route, Route)
        head = RequestHead(method="POST", path=route.path)
        found = format_for(head, route.entry.formats)
        assert found is not None
        caller = Caller(
            key="key:one",
            project=asked.project,
            student=asked.student,
            account_id="main",
            credential=None,
            auth=route.entry.auth,
        )
        call = Call(
            services=services,
            route=route,
            caller=caller,
            head=head,
            sent_headers=asked.headers,
            operation=found.claims(head) or "other",
            reader=found.reader(head),
        )
        if isinstance(await call.request(asked.request()), Forward):
            call.respond(200, (("Content-Type", "application/json"),))
            answer = asked.answer()
            is_whole = asked.outcome is Outcome.COMPLETE
            call.tap(answer if is_whole else answer[: len(answer) // 2])
            await call.end(asked.outcome)
        return call.exchange

    def inbond(self, *words: object) -> Result:
        """What `inbond WORDS` gives in this workspace."""
        return CliRunner().invoke(main, ["-C", str(self.directory), *map(str, words)])

    def record(self, *words: object) -> dict[str, object]:
        """The one object that `inbond WORDS --json` prints, if it ends well."""
        result = self.inbond(*words, "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout.splitlines()[-1])
        assert isinstance(found, dict)
        return found

    def approve(self, path: Path) -> None:
        """Approve a paper of the workspace."""
        self.record("policy", "approve", path, "--reason", "counsel agreed")

    def entries(self) -> list[Entry]:
        """All that is on record."""
        with open_ledger(self.settings) as ledger:
            return entries_of(ledger)

    def size(self) -> int:
        """How many entries there are."""
        return len(self.entries())


def entries_of(ledger: Ledger) -> list[Entry]:
    """All entries of an open ledger."""
    with ledger.database.read() as connection:
        return [item.entry for item in every_entry(connection)]


async def _resolve(route: Route) -> tuple[str, int]:
    return route.connect


async def _not_cleared(facts: Mapping[str, Fact], body: bytes) -> Clearance | None:
    return None
