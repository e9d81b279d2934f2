"""`inbond witness`: cosign the checkpoints of other installations, as a C2SP witness."""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import with_settings
from proxy.clock import utc_now
from proxy.errors import ProofError, ProxyError, SettingsError
from proxy.ledger.checkpoint import Verifier
from proxy.settings import Address, Settings
from proxy.witness import WitnessBook, load_witness_key, make_witness_key

if TYPE_CHECKING:
    from proxy.ledger.checkpoint import Checkpoint

__all__ = ["witness"]


@click.group()
def witness() -> None:
    """Witness the logs of others."""


@witness.command()
@click.option("--name", help="The witness's name; made from the log's where it is not given.")
@json_option
@with_settings
def key(settings: Settings, *, name: str | None, is_json: bool) -> None:
    """Print the key that others know this witness by; the first time, make it."""
    made = make_witness_key(
        settings.keys_directory, name or f"{settings.origin}/witness", os.urandom(32)
    )
    if name is not None and name != made.name:
        raise SettingsError(
            f"this witness is called `{made.name}` already",
            help="leave `--name` out: a witness keeps its name and its key",
            code="other-name",
        )
    if is_json:
        print_record({"name": made.name, "witness_key": made.verifier.to_text()}, is_json=True)
        return
    click.echo(made.verifier.to_text())
    note("hint: others name it in `anchors.witnesses`, and readers in `audit verify --witness`")


@witness.command(name="list")
@json_option
@with_settings
def list_(settings: Settings, *, is_json: bool) -> None:
    """List the logs that are witnessed, and what was cosigned last of each."""
    book = _book(settings)
    rows = [_row(log, book.last(log.name)) for log in _logs(settings.witness.logs)]
    print_rows(rows, is_json=is_json, empty="no log is witnessed: name some in `witness.logs`")


def _row(log: Verifier, last: "Checkpoint | None") -> dict[str, object]:
    return {
        "log": log.name,
        "key_id": log.key_id.hex(),
        "size": None if last is None else last.size,
        "root": None if last is None else last.root.hex(),
    }


@witness.command()
@json_option
@with_settings
def serve(settings: Settings, *, is_json: bool) -> None:
    """Cosign the checkpoints of the logs in `witness.logs`, until interrupted."""
    from proxy.cli.serving import serve_app
    from proxy.logs import configure_logs
    from proxy.web.witness import create_witness

    if not settings.witness.logs:
        raise SettingsError(
            "no log is to be witnessed",
            help="name the keys of logs in `witness.logs`",
            where="witness.logs",
            code="no-logs",
        )
    configure_logs(is_service=is_json)
    app = create_witness(_book(settings))
    with _listening(settings.witness.listen) as listener:
        host, port, *_ = listener.getsockname()

        def on_ready() -> None:
            if is_json:
                print_record({"host": host, "port": port}, is_json=True)
                sys.stdout.flush()
            else:
                note(f"witness on http://{Address(host=host, port=port)}")

        asyncio.run(serve_app(listener, app, is_child=False, on_ready=on_ready))


def _book(settings: Settings) -> WitnessBook:
    signing = load_witness_key(settings.keys_directory)
    logs = _logs(settings.witness.logs)
    return WitnessBook.open(settings.witness_directory, signing, logs, now=utc_now)


def _logs(texts: Sequence[str]) -> list[Verifier]:
    logs: list[Verifier] = []
    for number, text in enumerate(texts):
        try:
            logs.append(Verifier.from_text(text))
        except ProofError as error:
            where = f"witness.logs[{number}]"
            raise SettingsError(
                error.message, help=error.help, where=where, code="bad-value"
            ) from error
    return logs


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise ProxyError(
            f"cannot listen on `{address}`: {(error.strerror or str(error)).lower()}",
            help="stop the program that listens there, or choose another `witness.listen`",
            where=str(address),
            code="port-taken",
        ) from error
