"""`inbond key rotate`: the keys that sign the log and its bundles, replaced."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import actor, with_settings
from proxy.errors import ProxyError, SettingsError
from proxy.log_settings import SignerSettings
from proxy.settings import Settings

if TYPE_CHECKING:
    from proxy.signers import CommandSigner

__all__ = ["rotate"]


@click.command()
@click.argument("which", type=click.Choice(["log", "export"]))
@click.option("--to-signer", is_flag=True, help="Hand the log to the program in `signer`.")
@json_option
@with_settings
def rotate(settings: Settings, which: str, *, to_signer: bool, is_json: bool) -> None:
    """Replace the key that signs the log, or the one that signs exported bundles.

    The old log key says which comes next, so that readers of it follow; bundles that the old export
    key signed stay true, and it signs no later one.
    """
    with _nobody_else(settings):
        if which == "export":
            _rotate_export(settings, is_json=is_json)
        else:
            _rotate_log(settings, to_signer=to_signer, is_json=is_json)


def _rotate_log(settings: Settings, *, to_signer: bool, is_json: bool) -> None:
    from proxy.rotation import next_log_key, rotate_log

    program = _program(settings) if to_signer else None
    if program is not None:
        settings = settings.model_copy(update={"signer": SignerSettings()})
    with open_ledger(settings) as ledger:
        old = ledger.keys.log
        new = program or next_log_key(settings.keys_directory, old.name, os.urandom(32))
        done = rotate_log(
            ledger.log,
            old,
            new,
            keys_directory=settings.keys_directory,
            last_path=settings.last_checkpoint_path,
            actor=actor(),
        )
    print_record({"log_key": done.new, "retired": done.old, "size": done.size}, is_json=is_json)
    note("hint: pin `log_key` from now on, and back `keys/` up; the retired key is deleted")
    if settings.signer.key is not None:
        note("hint: take `signer` out of the settings: the new key lies in `keys/log.key`")
    note("hint: give `log_key` to whoever witnesses this log, beside the retired one")


def _rotate_export(settings: Settings, *, is_json: bool) -> None:
    from proxy.rotation import next_export_key, rotate_export

    with open_ledger(settings) as ledger:
        done = rotate_export(
            ledger.log,
            ledger.signer,
            ledger.keys.export,
            next_export_key(settings.keys_directory, os.urandom(32)),
            keys_directory=settings.keys_directory,
            actor=actor(),
        )
    record = {"export_key": done.new, "retired": done.old, "size": done.size}
    print_record(record, is_json=is_json)


def _program(settings: Settings) -> "CommandSigner":
    from proxy.signers import signer_of

    program = signer_of(settings.signer, settings.directory)
    if program is None:
        raise SettingsError(
            "no program signs the log",
            help="give `command` and `key` in `signer` first",
            where="signer",
            code="no-signer",
        )
    return program


@contextmanager
def _nobody_else(settings: Settings) -> Iterator[None]:
    """Keep a proxy of this workspace from starting, once none runs: it would sign with the old key."""
    from proxy.store.lock import try_lock

    settings.run_directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = try_lock(settings.run_directory / "proxy.lock")
    if descriptor is None:
        raise ProxyError(
            "a proxy of this workspace runs, and holds the key that is to be replaced",
            help="stop it first, on every host that shares this ledger",
            where=str(settings.directory),
            code="runs-already",
        )
    try:
        yield
    finally:
        os.close(descriptor)
