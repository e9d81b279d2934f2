"""Two installations witness each other: served by real processes, verified by a stranger."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.cli.init import make_workspace
from proxy.keys import load_keys

PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Installation:
    """A workspace, the key of its log, and that of its witness."""

    home: Path
    log_key: str
    witness_key: str


def inbond(directory: Path, *words: object) -> Result:
    """What a command gave in a workspace."""
    return CliRunner().invoke(main, ["-C", str(directory), *map(str, words)])


def record(directory: Path, *words: object) -> dict[str, object]:
    """The one object that a command printed."""
    result = inbond(directory, *words, "--json")
    found: dict[str, object] = json.loads(result.stdout)
    return found


@contextmanager
def serving(directory: Path) -> Iterator[int]:
    """The port of a workspace's witness, served until the block ends."""
    command = [
        sys.executable,
        "-m",
        "proxy.cli",
        "-C",
        str(directory),
        "witness",
        "serve",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        try:
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0


def installation(directory: Path) -> Installation:
    """A fresh workspace with a witness's key."""
    home = make_workspace(directory, organisation=directory.name).directory
    log_key = load_keys(home / "keys").log.verifier.to_text()
    return Installation(home, log_key, str(record(home, "witness", "key")["witness_key"]))


def settle(here: Installation, text: str) -> None:
    """Add settings."""
    with (here.home / "inbond.yaml").open("a") as settings:
        settings.write(f"{text}\n")


def check_covered(here: Installation, witness: Installation, audit: Path) -> None:
    """Anchor twice, export, and verify as a stranger who trusts the witness, and not as another."""
    assert record(here.home, "anchor", "take")["size"] == 3
    inbond(here.home, "key", "create", "--project", "p")
    assert record(here.home, "anchor", "take")["size"] == 4
    assert inbond(here.home, "audit", "export", audit).exit_code == 0
    words = ("audit", "verify", audit, "--key", here.log_key, "--witness")
    verified = inbond(audit.parent, *words, witness.witness_key)
    assert verified.exit_code == 0, verified.stdout
    assert "rewriting by the key's holder" not in verified.stdout
    assert inbond(audit.parent, *words, here.witness_key).exit_code == 2


def test_two_installations_witness_each_other(tmp_path: Path) -> None:
    """Each covers what the other's key could rewrite; a restored older installation shows."""
    a, b = installation(tmp_path / "a"), installation(tmp_path / "b")
    for here, other in ((a, b), (b, a)):
        logs = json.dumps([other.log_key])
        settle(here, f'witness: {{listen: "127.0.0.1:0", logs: {logs}}}')
    saved = {name: (b.home / name).read_bytes() for name in ("inbond.db", "keys/last.checkpoint")}
    with serving(a.home) as port_a, serving(b.home) as port_b:
        for here, other, port in ((a, b, port_b), (b, a, port_a)):
            place = {"url": f"http://127.0.0.1:{port}", "key": other.witness_key}
            settle(here, f"anchors: {json.dumps({'witnesses': [place]})}")
            check_covered(here, other, tmp_path / f"audit-{here.home.name}")
        # The whole of `b` is put back as it was: only its witness knows better.
        for path in b.home.glob("inbond.db-*"):
            path.unlink()
        for name, content in saved.items():
            (b.home / name).write_bytes(content)
        inbond(b.home, "key", "create", "--project", "q")
        forked = inbond(b.home, "anchor", "take")
        assert (forked.exit_code, "error[fork]" in forked.stderr) == (1, True)
    seen = record(a.home, "witness", "list")
    assert (seen["log"], seen["size"]) == (b.log_key.partition("+")[0], 5)  # with the export
