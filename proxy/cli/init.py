"""`inbond init`: a workspace, whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from proxy.authority import ensure_authority
from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.template import gitignore, house_rules, house_rules_test, readme, settings_file
from proxy.cli.workspace import actor
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import SettingsError
from proxy.keys import Keys, load_keys, make_keys
from proxy.ledger.entry import Entry, KeyEntry, OpenEntry
from proxy.settings import FILE_NAME, Settings, origin_of, parse_settings
from proxy.store.log import Pending

__all__ = ["found", "init", "make_workspace"]

_FOLDERS = (
    "datasets",
    "policies/grants",
    "policies/organisation",
    "policies/students",
    "policies/tests",
    "run",
    "students",
)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option("--organisation", required=True, help="Who runs it: the party of the house rules.")
@click.option("--origin", help="The ledger's name in its checkpoints; made from the organisation.")
@json_option
def init(directory: Path, *, organisation: str, origin: str | None, is_json: bool) -> None:
    """Make a workspace in DIRECTORY (the current one), with its keys and its ledger."""
    settings = make_workspace(directory, organisation=organisation, origin=origin)
    record = {
        "workspace": settings.directory,
        "organisation": settings.organisation,
        "origin": settings.origin,
        "log_key": load_keys(settings.keys_directory).log.verifier.to_text(),
    }
    print_record(record, is_json=is_json)
    note("hint: pin `log_key` wherever datasets and audits are checked, and back `keys/` up")
    note(
        "hint: declare a student in `policies/students/`, then `inbond key create` and `inbond up`"
    )


def make_workspace(directory: Path, *, organisation: str, origin: str | None = None) -> Settings:
    """A new workspace in a directory that is empty or not there yet.

    Raises:
        SettingsError: the directory is a workspace or holds other things, or a name is not usable.
        LedgerError: the database cannot be made.
    """
    directory = directory.absolute()
    text = settings_file(organisation=organisation, origin=origin or origin_of(organisation))
    settings = parse_settings(text, directory, {})
    _refuse_occupied(directory)
    with _whole_or_nothing(directory):
        _fill(settings)
        found(settings)
        # INVARIANT: this file comes last: where it stands, the workspace is whole.
        (directory / FILE_NAME).write_text(text, encoding="utf-8")
    return settings


def _refuse_occupied(directory: Path) -> None:
    where = str(directory)
    if (directory / FILE_NAME).exists():
        message = f"`{directory}` is a workspace already"
        fix = "nothing was changed; name another directory for a new one"
        raise SettingsError(message, help=fix, where=where, code="workspace-exists")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        message = f"`{directory}` is not an empty directory"
        fix = "name an empty directory, or one that is not there yet"
        raise SettingsError(message, help=fix, where=where, code="not-empty")


@contextmanager
def _whole_or_nothing(directory: Path) -> Iterator[None]:
    """Make the directory, and take away all that was put there if the block does not end well."""
    existed = directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not existed:
            directory.rmdir()
        raise


def _fill(settings: Settings) -> None:
    directory, organisation = settings.directory, settings.organisation
    settings.keys_directory.mkdir(mode=0o700)
    for folder in _FOLDERS:
        (directory / folder).mkdir(parents=True)
    keys = make_keys(settings.keys_directory, origin=settings.origin, entropy=os.urandom(96))
    ensure_authority(settings.keys_directory, organisation=organisation, now=utc_now())
    today = utc_now().date()
    files = {
        "policies/organisation/house-rules.yaml": house_rules(
            organisation=organisation, today=today
        ),
        "policies/tests/house-rules.test.yaml": house_rules_test(today=today),
        "README.md": readme(organisation=organisation, log_key=keys.log.verifier.to_text()),
        ".gitignore": gitignore(),
    }
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def found(settings: Settings) -> None:
    """Begin the ledger: its name, its keys, and the first checkpoint.

    Raises:
        LedgerError: the database cannot be made or written.
    """
    with open_ledger(settings) as ledger:
        entries = _first_entries(ledger.keys)
        ledger.log.append([Pending(entry) for entry in entries])
        ledger.signer.sign()


def _first_entries(keys: Keys) -> tuple[Entry, ...]:
    at, verifier = stamp(utc_now()), keys.log.verifier.to_text()

    def made(role: str, public: str) -> KeyEntry:
        return KeyEntry.model_validate(
            {
                "id": new_id(),
                "at": at,
                "actor": actor(),
                "action": "create",
                "role": role,
                "key": f"{role}:{new_id()}",
                "public": public,
                "nonce": new_nonce(),
            }
        )

    opened = OpenEntry(
        id=new_id(),
        at=at,
        actor=actor(),
        origin=keys.log.name,
        log_key=verifier,
        nonce=new_nonce(),
    )
    return opened, made("log", verifier), made("export", keys.export.public_pem)
