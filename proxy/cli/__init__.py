"""The command `inbond`: nouns found by name when they are used, and the rim that shows errors."""

import errno
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, override

import click

from proxy.cli.render import error_json, error_text
from proxy.errors import IdentityError, ProxyError, SettingsError

__all__ = ["main"]


class _Noun(NamedTuple):
    target: str
    """`module:attribute` of its click command."""
    summary: str


_NOUNS = {
    "init": _Noun("proxy.cli.init:init", "Make a workspace."),
    "up": _Noun("proxy.cli.serve:up", "Run proxy and console on this machine."),
    "proxy": _Noun("proxy.cli.serve:proxy", "Run the proxy alone."),
    "console": _Noun("proxy.cli.serve:console", "Run the console alone."),
    "status": _Noun("proxy.cli.serve:status", "Say how the installation is."),
    "run": _Noun("proxy.cli.run:run", "Run a command whose calls go through the proxy."),
    "env": _Noun("proxy.cli.env:env", "Print the variables that send calls through the proxy."),
    "doctor": _Noun("proxy.cli.doctor:doctor", "Say whether clients go through the proxy."),
    "key": _Noun("proxy.cli.key:key", "Make, list, revoke and replace keys."),
    "policy": _Noun("proxy.cli.policy:policy", "Check policies."),
    "terms": _Noun("proxy.cli.terms:terms", "Follow the texts that policies cite."),
    "review": _Noun("proxy.cli.review:review", "See and clear what waits for a person."),
    "source": _Noun("proxy.cli.source:source", "Declare imported data that prompts are made of."),
    "import": _Noun("proxy.cli.imports:import_", "Bring in examples of other origin, on evidence."),
    "dataset": _Noun("proxy.cli.dataset:dataset", "Seal what may be learned from."),
    "reconcile": _Noun(
        "proxy.cli.reconcile:reconcile", "Compare a provider's usage export with the ledger."
    ),
    "recall": _Noun("proxy.cli.recall:recall", "Take back what may be learned from no more."),
    "erase": _Noun("proxy.cli.erase:erase", "Erase stored bodies; every proof keeps working."),
    "retain": _Noun("proxy.cli.retain:retain", "Erase what is older than the settings keep it."),
    "hold": _Noun("proxy.cli.hold:hold", "Keep what is evidence."),
    "student": _Noun("proxy.cli.student:student", "Train on a sealed dataset."),
    "audit": _Noun("proxy.cli.audit:audit", "Export and verify audits."),
    "ledger": _Noun("proxy.cli.ledger:ledger", "Verify the ledger."),
    "anchor": _Noun("proxy.cli.anchor:anchor", "Show checkpoints to others."),
    "witness": _Noun("proxy.cli.witness:witness", "Witness the logs of others."),
    "demo": _Noun("proxy.cli.demo:demo", "Show the whole journey of one answer."),
}
_EXTRAS = {"torch": "student", "transformers": "student", "safetensors": "student"}

_WRONG_USE = 2
_INTERRUPTED = 130
_PIPE_CLOSED = 141


class _Inbond(click.Group):
    """Imports a noun when it is asked for: help and `init` never wait for torch or sqlalchemy."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_NOUNS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        noun = _NOUNS.get(cmd_name)
        if noun is None:
            return None
        module, _, attribute = noun.target.partition(":")
        try:
            command = getattr(_imported(module), attribute)
        except ModuleNotFoundError as error:
            raise _missing(cmd_name, error) from error
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, noun.summary) for name, noun in _NOUNS.items()])

    @override
    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> Any:
        """Run the command line and exit: 0 fine, 1 findings or denied, 2 wrong use (style §6)."""
        words = list(sys.argv[1:] if args is None else args)
        sys.exit(_run(self, words, extra.get("prog_name") or "inbond"))


def _imported(name: str) -> ModuleType:
    """A module with all that it imports.

    It stays: to look for garbage meanwhile, again and again, takes a tenth of the time.
    """
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.enable()


def _run(group: click.Group, words: list[str], name: str) -> int:
    """The rim: whatever happens becomes a message with a fix and a status, never a traceback."""
    wants_json = "--json" in words[: words.index("--") if "--" in words else None]
    try:
        with group.make_context(name, words) as ctx:
            group.invoke(ctx)
            sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return _WRONG_USE
    except click.ClickException as error:
        return _fail(_usage(error, name), wants_json=wants_json)
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        _close_stdout()
        return _PIPE_CLOSED
    except OSError as error:
        return _fail(_from_system(error), wants_json=wants_json)
    except Exception as error:  # noqa: BLE001 - the rim of the command line (style §6)
        known = error if hasattr(error, "help") else _unforeseen(error)
        return _fail(known, wants_json=wants_json)
    return 0


def _fail(error: Exception, *, wants_json: bool) -> int:
    click.echo(error_json(error) if wants_json else error_text(error), err=True)
    is_wrong_use = isinstance(error, SettingsError | IdentityError)
    return int(getattr(error, "exit_status", _WRONG_USE if is_wrong_use else 1))


def _usage(error: click.ClickException, name: str) -> SettingsError:
    """Click's own complaint in our layout."""
    text = error.format_message().replace("'", "`").rstrip(".").replace("\n", " ")
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else name
    message = text[:1].lower() + text[1:]
    return SettingsError(message, help=f"see `{command} --help`", code="usage")


def _from_system(error: OSError) -> ProxyError:
    reason = (error.strerror or str(error)).lower()
    fix = "make some room" if error.errno == errno.ENOSPC else "check the path and its permissions"
    where = str(error.filename or "")
    return ProxyError(f"the system refused: {reason}", help=fix, where=where, code="system")


def _unforeseen(error: Exception) -> ProxyError:
    trace = error.__traceback__
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
        trace = error.__traceback__ or trace
    frame = traceback.extract_tb(trace)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    message = f"inbond met a fault of its own: {type(error).__name__}: {error}"
    fix = "report it with this line and what you ran; nothing was released because of it"
    return ProxyError(message, help=fix, where=where, code="internal")


def _missing(noun: str, error: ModuleNotFoundError) -> ProxyError:
    package = (error.name or "").partition(".")[0]
    if package in _EXTRAS:
        extra = _EXTRAS[package]
        message = f"`inbond {noun}` needs `{package}`, which is not installed"
        fix = f"install the extra: `uv sync --extra {extra}` or `pip install 'inbond[{extra}]'`"
        return SettingsError(message, help=fix, code="missing-extra")
    message = f"`inbond {noun}` is not in this installation: `{error.name}` is missing"
    return SettingsError(message, help="install inbond again", code="missing-module")


def _close_stdout() -> None:
    # Python flushes stdout once more at exit: into the void, or it would complain there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group("inbond", cls=_Inbond, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("inbond"), prog_name="inbond")
@click.option(
    "-C",
    "--workspace",
    type=click.Path(path_type=Path),
    envvar="INBOND_WORKSPACE",
    default=Path(),
    help="The workspace; else INBOND_WORKSPACE, else the current directory.",
)
@click.pass_context
def main(ctx: click.Context, workspace: Path) -> None:
    """Keep what a student learns inside the terms that bind it, and prove it."""
    ctx.obj = workspace
