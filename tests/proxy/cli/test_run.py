"""Tests of proxy.cli.run."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.identity import make_client_key
from tests.proxy.cli.conftest import Inbond

KEY = make_client_key(b"k" * 32).reveal()
INBOND = [sys.executable, "-c", "from proxy.cli import main; main()"]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def listener() -> Iterator[str]:
    """The address of something that accepts connections, as `inbond run` expects of a proxy."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def start(workspace: Path, listener: str, *words: str) -> "subprocess.Popen[str]":
    """`inbond run` as a process of its own."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "INBOND_KEY": KEY,
        "INBOND_LISTEN": listener,
        "INBOND_WORKSPACE": str(workspace),
    }
    return subprocess.Popen(
        [*INBOND, "run", *words],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_child_gets_one_mode_and_gives_its_exit_code(workspace: Path, listener: str) -> None:
    """The child sees the variables of its mode alone; its output and exit code are ours."""
    script = "import json, os; print(json.dumps(dict(os.environ))); raise SystemExit(7)"
    child = start(workspace, listener, "--via", "base-url", "--", sys.executable, "-c", script)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (7, "")
    seen = json.loads(out)
    assert seen["OPENAI_BASE_URL"] == f"http://{listener}/openai/v1"
    assert not any("proxy" in name.lower() for name in seen)


def test_signals_reach_the_child(workspace: Path, listener: str) -> None:
    """A signal to `inbond run` is the child's to handle."""
    script = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(42));"
        "print('ready', flush=True); signal.pause()"
    )
    child = start(workspace, listener, "--via", "proxy", "--", sys.executable, "-c", script)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 42


def test_options_after_the_command_are_the_commands(workspace: Path, listener: str) -> None:
    """What follows the command goes to it untouched, `--json` and `--via` included."""
    script = "import sys; print(sys.argv[1:])"
    words = ("--via", "proxy", "--", sys.executable, "-c", script, "--json", "--via", "x", "--")
    child = start(workspace, listener, *words)
    out, _ = child.communicate(timeout=60)
    assert out == "['--json', '--via', 'x', '--']\n"


def test_no_proxy_is_said_before_the_child_starts(inbond: Inbond, listener: str) -> None:
    """Where nothing listens, the child is not started and the way to start the proxy is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"127.0.0.1:{server.getsockname()[1]}"
    words = ("run", "--via", "proxy", "--key", KEY, "--", "true")
    result = inbond(*words, env={"INBOND_LISTEN": closed})
    assert (result.exit_code, "error[not-running]" in result.stderr) == (1, True)


@pytest.mark.parametrize(("command", "status"), [("no-such-command-here", 127), ("/", 126)])
def test_a_command_that_cannot_start_ends_as_in_a_shell(
    inbond: Inbond, listener: str, command: str, status: int
) -> None:
    """A missing command ends with 127, one that cannot be run with 126."""
    words = ("run", "--json", "--via", "proxy", "--key", KEY, "--", command)
    result = inbond(*words, env={"INBOND_LISTEN": listener})
    assert result.exit_code == status
    assert json.loads(result.stderr)["code"] == "no-command"


def test_mode_and_command_must_be_given(inbond: Inbond) -> None:
    """Without a mode or a command nothing runs."""
    for words in (("--", "true"), ("--via", "proxy")):
        result = inbond("run", "--key", KEY, *words)
        assert (result.exit_code, "error[usage]" in result.stderr) == (2, True)
