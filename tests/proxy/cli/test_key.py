"""Tests of proxy.cli.key."""

import json
from pathlib import Path

from proxy.cli.openledger import open_ledger
from proxy.identity import digest_of, key_id_of
from proxy.ledger.entry import KeyEntry
from proxy.secret import Secret
from proxy.settings import load_settings
from proxy.store.queries import entries
from tests.proxy.cli.conftest import Inbond


def key_entries(workspace: Path) -> list[KeyEntry]:
    """What the ledger says about client keys."""
    with open_ledger(load_settings(workspace, {})) as ledger, ledger.database.read() as connection:
        found = [each.entry for each in entries(connection, kind="key")]
    return [entry for entry in found if isinstance(entry, KeyEntry) and entry.role == "client"]


def test_a_key_is_shown_once_and_kept_as_a_digest(workspace: Path, inbond: Inbond) -> None:
    """The key stands alone on stdout; the ledger holds its digest, project and student."""
    result = inbond("key", "create", "--project", "p1", "--student", "s1")
    assert result.exit_code == 0
    secret = Secret(result.stdout.strip())
    (entry,) = key_entries(workspace)
    assert (entry.action, entry.digest) == ("create", digest_of(secret))
    assert (entry.project, entry.student) == ("p1", "s1")
    assert secret.reveal() not in result.stderr
    stored = b"".join(path.read_bytes() for path in workspace.rglob("*") if path.is_file())
    assert secret.reveal().encode() not in stored


def test_a_key_is_one_object_for_programs(inbond: Inbond) -> None:
    """With `--json` key, id, project and student come as one object."""
    record = json.loads(inbond("key", "create", "--project", "p1", "--json").stdout)
    assert record["key"] == key_id_of(digest_of(Secret(record["secret"])))
    assert (record["project"], record["student"]) == ("p1", None)


def test_keys_are_listed_without_their_secrets(inbond: Inbond) -> None:
    """The list shows each key's id, project, student and state; an empty one says so."""
    empty = inbond("key", "list")
    assert (empty.stdout, "no client keys yet" in empty.stderr) == ("", True)
    made = json.loads(inbond("key", "create", "--project", "p1", "--json").stdout)
    listed = inbond("key", "list", "--json")
    row = json.loads(listed.stdout)
    assert (row["key"], row["project"], row["is_revoked"]) == (made["key"], "p1", False)
    assert made["secret"] not in listed.stdout


def test_a_key_is_revoked_by_its_id_or_itself(workspace: Path, inbond: Inbond) -> None:
    """A revocation is an entry; it names the key by its id even where the key itself was given."""
    first, second = (
        json.loads(inbond("key", "create", "--project", "p1", "--json").stdout) for _ in range(2)
    )
    by_id = inbond("key", "revoke", first["key"], "--json")
    by_itself = inbond("key", "revoke", second["secret"])
    assert json.loads(by_id.stdout) == {"key": first["key"], "project": "p1", "is_revoked": True}
    assert second["secret"] not in by_itself.output
    assert [entry.action for entry in key_entries(workspace)] == ["create"] * 2 + ["revoke"] * 2
    again = inbond("key", "revoke", first["key"])
    assert (again.exit_code, "error[revoked-key]" in again.stderr) == (2, True)


def test_an_unknown_key_cannot_be_revoked(inbond: Inbond) -> None:
    """Neither an unknown id nor an unknown key changes the ledger, and no key is repeated."""
    secret = "ib_" + "x" * 43
    for given in ("key:000000000000", secret):
        result = inbond("key", "revoke", given)
        assert (result.exit_code, "error[unknown-key]" in result.stderr) == (2, True)
        assert secret not in result.output


def test_a_project_is_for_one_student(inbond: Inbond) -> None:
    """A second key of a project is for the same student, until the first ones are revoked."""
    made = inbond("key", "create", "--project", "p1", "--student", "s1", "--json")
    assert inbond("key", "create", "--project", "p1", "--student", "s1").exit_code == 0
    for other in (("--student", "s2"), ()):
        result = inbond("key", "create", "--project", "p1", *other)
        assert (result.exit_code, "error[other-student]" in result.stderr) == (2, True)
    assert inbond("key", "create", "--project", "p2", "--student", "s2").exit_code == 0
    assert json.loads(made.stdout)["student"] == "s1"


def test_names_are_plain_words(inbond: Inbond) -> None:
    """A project of other characters is refused: names stand in leaves for ever."""
    result = inbond("key", "create", "--project", "Jane Doe")
    assert (result.exit_code, "error[bad-name]" in result.stderr) == (2, True)


def test_a_student_is_declared_first(workspace: Path, inbond: Inbond) -> None:
    """A key for a student that nobody declared is refused, and a near name is offered."""
    near = inbond("key", "create", "--project", "p", "--student", "s11")
    far = inbond("key", "create", "--project", "p", "--student", "zzz")
    assert (near.exit_code, "did you mean `s1`?" in near.stderr) == (2, True)
    assert (far.exit_code, "declare it in `policies/students/`" in far.stderr) == (2, True)
    assert key_entries(workspace) == []
