"""Tests of proxy.cli: the group `inbond` and its rim."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from proxy import cli
from proxy.cli import main
from proxy.errors import ForkError, IdentityError, SettingsError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command that ends in the given way."""

    def run(how: Callable[[], object], *words: str) -> Result:
        @click.command()
        @click.option("--json", "is_json", is_flag=True)
        @click.argument("rest", nargs=-1)
        def command(*, is_json: bool, rest: tuple[str, ...]) -> None:
            how()

        monkeypatch.setattr(sys.modules[__name__], "probe", command, raising=False)
        monkeypatch.setitem(cli._NOUNS, "probe", cli._Noun(f"{__name__}:probe", "Probe."))
        monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
        return CliRunner().invoke(main, ["probe", *words])

    return run


def raises(error: BaseException) -> Callable[[], object]:
    """Something that raises an error."""

    def fail() -> None:
        raise error

    return fail


class StatusError(Exception):
    """An error of another package that brings its own fix and status."""

    help = "try again"
    exit_status = 2


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (SettingsError("bad", help="mend"), 2, "error[settings]: bad\n  = help: mend\n"),
        (IdentityError("who", code="x"), 2, "error[x]: who\n"),
        (ForkError("forked"), 1, "error[fork]: forked\n"),
        (StatusError("theirs"), 2, "error[internal]: theirs\n  = help: try again\n"),
        (click.ClickException("It's gone."), 2, "error[usage]: it`s gone\n  = help: see `inbond --help`\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (click.exceptions.Exit(5), 5, ""),
    ],
)  # fmt: skip
def test_each_end_has_its_status(
    ending: Callable[..., Result], error: BaseException, status: int, text: str
) -> None:
    """An error becomes a message with a fix, and the status says whose fault it was."""
    result = ending(raises(error))
    assert (result.exit_code, result.stderr, result.stdout) == (status, text, "")


def test_a_command_that_ends_well_ends_with_zero(ending: Callable[..., Result]) -> None:
    """Nothing wrong is status 0."""
    assert ending(lambda: None).exit_code == 0


def test_the_system_is_quoted(ending: Callable[..., Result], tmp_path: Path) -> None:
    """What the system refuses is said with its path and a fix."""
    result = ending((tmp_path / "gone").read_text)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error[system]: the system refused: no such file or directory\n --> {tmp_path / 'gone'}\n"
        "  = help: check the path and its permissions\n"
    )
    full = ending(raises(OSError(28, "No space left on device")))
    assert "make some room" in full.stderr


def test_a_fault_of_ours_is_no_traceback(ending: Callable[..., Result]) -> None:
    """An error nobody foresaw is one message with the place, and no credential in it."""
    result = ending(raises(ZeroDivisionError("authorization: Bearer canary")))
    assert result.exit_code == 1
    assert "error[internal]: inbond met a fault of its own: ZeroDivisionError" in result.stderr
    assert "test_cli.py:" in result.stderr
    assert "Traceback" not in result.stderr
    assert "canary" not in result.stderr


def test_a_group_of_faults_is_told_by_its_first(ending: Callable[..., Result]) -> None:
    """What broke inside of tasks is told, not that there were tasks."""
    fault = ExceptionGroup("tasks", [ExceptionGroup("inner", [ZeroDivisionError("here")])])
    result = ending(raises(fault))
    assert "ZeroDivisionError: here" in result.stderr
    assert "test_cli.py:" in result.stderr


def test_errors_are_objects_for_programs(ending: Callable[..., Result]) -> None:
    """Where the command was asked for JSON its errors are JSON too; a child's `--json` is not ours."""
    error = raises(SettingsError("bad", help="mend", where="f:1:1"))
    assert json.loads(ending(error, "--json").stderr) == {
        "code": "settings",
        "severity": "error",
        "message": "bad",
        "where": "f:1:1",
        "help": "mend",
    }
    assert ending(error, "--", "--json").stderr.startswith("error[settings]")


def test_help_imports_no_noun() -> None:
    """`inbond --help` lists every noun and imports neither database, engine nor trainer."""
    script = (
        "import sys\nfrom proxy.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'sqlalchemy', 'mitmproxy', 'torch', 'fastapi', 'rich', 'student'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for noun in (
        "init",
        "up",
        "proxy",
        "console",
        "status",
        "run",
        "env",
        "doctor",
        "key",
        "policy",
    ):
        assert f"  {noun} " in done.stdout
    for noun in (
        "review",
        "source",
        "dataset",
        "student",
        "audit",
        "hold",
        "erase",
        "ledger",
        "demo",
    ):
        assert f"  {noun} " in done.stdout


def test_nouns_are_listed_in_the_order_of_the_journey() -> None:
    """What completes a noun offers each of them once, from the first step to the last."""
    nouns = main.list_commands(click.Context(main))
    assert (nouns[0], nouns[-1], len(set(nouns))) == ("init", "demo", 26)


def test_version_is_said() -> None:
    """`inbond --version` names the product and its version."""
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.stdout.startswith("inbond, version ")) == (0, True)


def test_no_noun_is_wrong_use() -> None:
    """`inbond` alone shows the help on stderr, and an unknown noun is refused."""
    alone = CliRunner().invoke(main, [])
    assert (alone.exit_code, alone.stdout, "Commands:" in alone.stderr) == (2, "", True)
    unknown = CliRunner().invoke(main, ["nonsense"])
    assert unknown.exit_code == 2
    assert unknown.stderr == (
        "error[usage]: no such command `nonsense`\n  = help: see `inbond --help`\n"
    )


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A noun whose extra is not installed says which one to install."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(cli._NOUNS, "student", cli._Noun("torch:x", "Train."))
    missing = CliRunner().invoke(main, ["student"])
    assert (missing.exit_code, "`pip install 'inbond[student]'`" in missing.stderr) == (2, True)
    monkeypatch.setitem(cli._NOUNS, "student", cli._Noun("proxy.no_such_module:x", "Train."))
    absent = CliRunner().invoke(main, ["student"])
    assert (absent.exit_code, "error[missing-module]" in absent.stderr) == (2, True)


def test_the_workspace_comes_from_option_or_environment(tmp_path: Path) -> None:
    """`-C` names the workspace, else INBOND_WORKSPACE does."""
    by_option = CliRunner().invoke(main, ["-C", str(tmp_path / "a"), "key", "list"])
    by_environment = CliRunner().invoke(
        main, ["key", "list"], env={"INBOND_WORKSPACE": str(tmp_path / "b")}
    )
    assert f"`{tmp_path / 'a'}` has no `inbond.yaml`" in by_option.stderr
    assert f"`{tmp_path / 'b'}` has no `inbond.yaml`" in by_environment.stderr


def test_a_closed_pipe_is_quiet() -> None:
    """Where the reader of stdout is gone, nothing is complained of."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    script = "from proxy.cli import main; main(['--help'])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (141, "")
