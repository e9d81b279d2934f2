"""`inbond key`: keys made, listed, revoked and replaced; each step is an entry of the ledger."""

import os
import re
from difflib import get_close_matches

import click

from proxy.cli.key_rotate import rotate
from proxy.cli.openledger import Ledger, open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import IdentityError
from proxy.identity import digest_of, key_id_of, make_client_key
from proxy.ledger.entry import KeyEntry
from proxy.secret import Secret
from proxy.settings import Settings
from proxy.store.log import Pending
from proxy.store.queries import client_keys
from proxy.store.records import ClientKey

__all__ = ["key"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@click.group()
def key() -> None:
    """Make, list and revoke client keys; replace the keys of the ledger."""


key.add_command(rotate)


@key.command()
@click.option("--project", required=True, help="On whose behalf calls are made.")
@click.option("--student", help="The declared student whose facts each call is stamped with.")
@json_option
@with_settings
def create(settings: Settings, *, project: str, student: str | None, is_json: bool) -> None:
    """Make a client key and print it, once: inbond keeps only its digest."""
    _check_project(project)
    if student is not None:
        _check_declared(settings, student)
    secret = make_client_key(os.urandom(32))
    digest = digest_of(secret)
    with open_ledger(settings) as ledger:
        _refuse_second_student(_all(ledger), project, student)
        entry = KeyEntry(
            id=new_id(),
            at=stamp(utc_now()),
            actor=actor(),
            action="create",
            role="client",
            key=key_id_of(digest),
            digest=digest,
            project=project,
            student=student,
            nonce=new_nonce(),
        )
        ledger.log.append([Pending(entry)])
    if not is_json:
        click.echo(secret.reveal())
        note(f"hint: `{entry.key}` for project `{project}`; this is the only time the key is shown")
        return
    record = {"key": entry.key, "secret": secret.reveal(), "project": project, "student": student}
    print_record(record, is_json=True)


@key.command(name="list")
@json_option
@with_settings
def list_(settings: Settings, *, is_json: bool) -> None:
    """List client keys, oldest first; the keys themselves are not kept."""
    with open_ledger(settings) as ledger:
        found = _all(ledger)
    rows = [
        {
            "key": each.key,
            "project": each.project,
            "student": each.student,
            "made": each.at,
            "is_revoked": each.is_revoked,
        }
        for each in found
    ]
    print_rows(rows, is_json=is_json, empty="no client keys yet: `inbond key create` makes one")


@key.command()
@click.argument("key_id", metavar="KEY")
@json_option
@with_settings
def revoke(settings: Settings, *, key_id: str, is_json: bool) -> None:
    """Revoke KEY, by the id that `key list` shows or by the key itself."""
    with open_ledger(settings) as ledger:
        found = _find(_all(ledger), key_id)
        entry = KeyEntry(
            id=new_id(),
            at=stamp(utc_now()),
            actor=actor(),
            action="revoke",
            role="client",
            key=found.key,
            nonce=new_nonce(),
        )
        ledger.log.append([Pending(entry)])
    print_record({"key": found.key, "project": found.project, "is_revoked": True}, is_json=is_json)


def _all(ledger: Ledger) -> tuple[ClientKey, ...]:
    with ledger.database.read() as connection:
        return client_keys(connection)


def _find(keys: tuple[ClientKey, ...], given: str) -> ClientKey:
    name = key_id_of(digest_of(Secret(given))) if given.startswith("ib_") else given
    found = next((each for each in keys if each.key == name), None)
    fix = "`inbond key list` shows the keys there are"
    if found is None:
        raise IdentityError(f"there is no client key `{name}`", help=fix, code="unknown-key")
    if found.is_revoked:
        message = f"the client key `{name}` is revoked already"
        raise IdentityError(message, help=fix, code="revoked-key")
    return found


def _check_project(name: str) -> None:
    if not _NAME.fullmatch(name):
        fix = "use small letters, digits, `.`, `_` and `-`, at most 64"
        raise IdentityError(f"`{name}` is not the name of a project", help=fix, code="bad-name")


def _check_declared(settings: Settings, student: str) -> None:
    """A student is declared before its first call: its facts are stamped on each (design §2)."""
    from policies import load_bundle

    declared = load_bundle(settings.directory, organisation=settings.organisation).students
    if student not in declared:
        message = f"no student `{student}` is declared"
        near = get_close_matches(student, declared, n=1)
        fix = f"did you mean `{near[0]}`?" if near else "declare it in `policies/students/`"
        raise IdentityError(message, help=fix, code="unknown-student")


def _refuse_second_student(keys: tuple[ClientKey, ...], project: str, student: str | None) -> None:
    """A project names one student, so one purpose (design §2)."""
    used = {each.student for each in keys if each.project == project and not each.is_revoked}
    others = sorted(other or "none" for other in used - {student})
    if others:
        message = f"project `{project}` is for student `{others[0]}` already"
        fix = "name another project for another purpose, or revoke the project's keys first"
        raise IdentityError(message, help=fix, code="other-student")
