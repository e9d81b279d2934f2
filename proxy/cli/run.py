"""`inbond run -- COMMAND`: a child whose calls go through the proxy, by one mode."""

import os
import socket
import sys

import click

from proxy.cli.env import VIA, Via, child_environment, client_key, prepare_trust
from proxy.cli.render import json_option
from proxy.cli.workspace import with_settings
from proxy.errors import ProxyError
from proxy.settings import Address, Settings

__all__ = ["check_listening", "run"]

_CONNECT_S = 2.0
_NOT_FOUND = 127
_NOT_RUNNABLE = 126


class _CommandError(ProxyError):
    """The command could not be started; the exit status is the shell's for this."""

    code = "no-command"

    def __init__(self, command: str, error: OSError) -> None:
        reason = (error.strerror or "unknown reason").lower()
        super().__init__(
            f"`{command}` cannot be run: {reason}",
            help="give the command after `--` as you would type it",
        )
        is_absent = isinstance(error, FileNotFoundError)
        self.exit_status = _NOT_FOUND if is_absent else _NOT_RUNNABLE


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--via", type=VIA, required=True, help="The mode.")
@click.option("--key", envvar="INBOND_KEY", help="The client key; else INBOND_KEY.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@json_option
@with_settings
def run(
    settings: Settings,
    *,
    via: Via,
    key: str | None,
    command: tuple[str, ...],
    is_json: bool,  # noqa: ARG001 - the rim reads it: our own errors as JSON; stdout is the child's
) -> None:
    """Run COMMAND with exactly the variables of one mode; its exit code is ours.

    Proxy mode needs no change in the command. Base-URL mode is for programs that take a base URL.
    """
    secret = client_key(key)
    trust = prepare_trust(settings, os.environ)
    check_listening(settings.listen)
    environment = child_environment(os.environ, settings.listen, via, secret, trust)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        # The child takes our place: signals, terminal and exit code are its own.
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is what we want
    except OSError as error:
        raise _CommandError(command[0], error) from error


def check_listening(address: Address) -> None:
    """See that somebody listens where the proxy should.

    Raises:
        ProxyError: nobody does.
    """
    try:
        socket.create_connection((address.host, address.port), timeout=_CONNECT_S).close()
    except OSError as error:
        message = f"no proxy listens on `{address}`"
        fix = "start it with `inbond up`"
        raise ProxyError(message, help=fix, where=str(address), code="not-running") from error
