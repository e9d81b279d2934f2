"""`inbond audit verify` given what is no bundle, or no key: it says what to do and proves nothing."""

import base64
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.ledger.bundle import zip_bundle
from proxy.ledger.canonical import canonical
from proxy.ledger.checkpoint import LogKey
from proxy.ledger.envelope import SIGNATURE, sign_files
from proxy.ledger.source import MAX_FILE_BYTES
from tests.proxy.ledger.sample import (
    AT,
    EXPORT_KEY,
    LOG_KEY,
    ORIGIN,
    THIEF_KEY,
    VKEY,
    Log,
    audit_case,
    resign,
)

AUDIT = audit_case()

type Spoil = Callable[[Path], Path | None]
"""Spoils a copy of an audit; gives what to verify instead, if it is something else."""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit as it was written, to be copied."""
    return AUDIT.write(tmp_path_factory.mktemp("pristine") / "audit")


@pytest.fixture
def audit(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the audit, to be spoiled."""
    return Path(shutil.copytree(pristine, tmp_path / "audit"))


def verified(path: Path, *words: str, key: str = VKEY) -> Result:
    """What the command gives on the day when the audit was made."""
    with time_machine.travel(AT, tick=False):
        return CliRunner().invoke(main, ["audit", "verify", str(path), "--key", key, *words])


def packed(folder: Path, change: Callable[[zipfile.ZipFile], object]) -> Path:
    """The bundle as a zip with something more in it."""
    target = folder.with_suffix(".zip")
    zip_bundle(folder, target)
    with zipfile.ZipFile(target, "a") as archive:
        change(archive)
    return target


def linked(archive: zipfile.ZipFile) -> None:
    """A symbolic link in a zip."""
    place = zipfile.ZipInfo("policies/link.json")
    place.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(place, "/etc/passwd")


def _cut(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    zip_bundle(folder, target)
    target.write_bytes(target.read_bytes()[:-200])
    return target


def _twice(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("export.json", "{}")
    return target


def _large(folder: Path) -> None:
    os.truncate(folder / "entries.jsonl", MAX_FILE_BYTES + 1)


def _symlinked(folder: Path) -> None:
    moved = folder.parent / "elsewhere.jsonl"
    (folder / "entries.jsonl").rename(moved)
    (folder / "entries.jsonl").symlink_to(moved)


def _newer(folder: Path) -> None:
    about = json.loads((folder / "export.json").read_bytes())
    (folder / "export.json").write_bytes(canonical(about | {"v": 2}))


def _newer_entry(folder: Path) -> None:
    path = folder / "entries.jsonl"
    path.write_text(path.read_text().replace(r"\"v\":1", r"\"v\":2"))


def _of_another_log(folder: Path) -> None:
    stranger = LogKey.generate("ledger.other.example", bytes([7] * 32))
    (folder / "log/checkpoint").write_text(AUDIT.log.checkpoint(key=stranger))


UNTOLD: Mapping[str, Spoil] = {
    "a zip cut short": _cut,
    "a path out of the zip": lambda folder: packed(
        folder, lambda archive: archive.writestr("../evil", "x")
    ),
    "an absolute path in the zip": lambda folder: packed(
        folder, lambda archive: archive.writestr("/etc/evil", "x")
    ),
    "a link in the zip": lambda folder: packed(folder, linked),
    "a file twice in the zip": _twice,
    "a link in the folder": _symlinked,
    "a file that is too large": _large,
    "text in place of a zip": lambda folder: folder / "VERIFY.md",
    "a folder of something else": lambda folder: folder / "policies",
    "a newer version": _newer,
    "entries of a newer version": _newer_entry,
    "a checkpoint of another log": _of_another_log,
}
"""What cannot be read, or not yet: nothing is known of it."""


def replace_in(name: str, old: bytes, new: bytes) -> Spoil:
    """Bytes replaced once in a file of the bundle."""

    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert old in data
        (folder / name).write_bytes(data.replace(old, new, 1))

    return spoil


def written(name: str, data: bytes) -> Spoil:
    """Other bytes in a file of the bundle."""

    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return spoil


def _reencoded(name: str, encoding: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_text().encode(encoding))

    return spoil


def _reversed_entries(folder: Path) -> None:
    path = folder / "entries.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))


def _spoil_policy(folder: Path) -> None:
    min((folder / "policies").iterdir()).write_bytes(b"\xff")


def _opening(name: str) -> bytes:
    line = {"body": "", "salt": base64.b64encode(bytes(32)).decode(), "seal": name}
    return json.dumps(line).encode() + b"\n"


FALSE: Mapping[str, Spoil] = {
    "a key twice in export.json": replace_in("export.json", b'"v":1', b'"v":1,"v":1'),
    "a key twice in an entry's line": replace_in("entries.jsonl", b'"seq":0', b'"seq":0,"seq":0'),
    "a key twice in an opening": replace_in("openings.jsonl", b'{"body"', b'{"seal":"a","body"'),
    "a key twice in a leaf": replace_in("entries.jsonl", rb"\"v\":1", rb"\"v\":1,\"v\":1"),
    "entries in another order": _reversed_entries,
    "entries cut short": lambda folder: os.truncate(folder / "entries.jsonl", 700),
    "an opening cut short": lambda folder: os.truncate(folder / "openings.jsonl", 100),
    "export.json in UTF-16": _reencoded("export.json", "utf-16"),
    "entries in UTF-16": _reencoded("entries.jsonl", "utf-16"),
    "export.json with a byte order mark": _reencoded("export.json", "utf-8-sig"),
    "bytes that are no text in entries": replace_in("entries.jsonl", b"open", b"op\xffn"),
    "half a surrogate pair in a leaf": replace_in("entries.jsonl", b"open", rb"\ud800"),
    "half a surrogate pair in a seal": written("openings.jsonl", _opening("\ud800")),
    "signs for the terminal in a seal": written("openings.jsonl", _opening("\x1b[2J")),
    "a number in place of an object": written("export.json", b"1"),
    "very deep brackets": written("export.json", b"[" * 200_000),
    "a checkpoint that is none": written("log/checkpoint", b"\xff\xfe"),
    "an export key that is none": written("keys/export.pem", b"\xff\xfe"),
    "a log key for an export key": written("keys/export.pem", VKEY.encode()),
    "a policy that is none": _spoil_policy,
}
"""What is signed and not what a bundle is: it is false."""


def sound(result: Result) -> None:
    """See that something was found, and that nothing went wrong inside or reaches the terminal."""
    assert "findings:\n  none" not in result.stdout
    assert "\x1b" not in result.output
    assert "fault of its own" not in result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("name", UNTOLD)
def test_what_cannot_be_read_ends_with_2(audit: Path, name: str) -> None:
    """Nothing is proven of what cannot be read, and the message says what to do."""
    spoiled = UNTOLD[name](audit)
    if spoiled is None and name != "a file that is too large":
        if name != "a link in the folder":
            resign(audit)
        spoiled = audit
    result = verified(spoiled or audit)
    assert result.exit_code == 2, result.stdout
    sound(result)
    assert "help: " in result.stdout
    assert "entries stand in the log" not in result.stdout


@pytest.mark.parametrize("name", FALSE)
def test_what_is_signed_and_malformed_is_not_true(audit: Path, name: str) -> None:
    """Whoever signs what is no bundle has it refused, with what to do."""
    FALSE[name](audit)
    resign(audit)
    result = verified(audit)
    assert result.exit_code in (1, 2), result.stdout
    sound(result)
    assert "help: " in result.stdout


KEYS: Mapping[str, str] = {
    "nothing": "",
    "a word": "key",
    "a path": "/etc/passwd",
    "the export key": EXPORT_KEY.public_pem,
    "the log's secret key": LOG_KEY.to_text(),
    "a key of another kind": VKEY.rpartition("+")[0]
    + "+AvMP6b1nVFcaMlD/c6nYVvjTcbBkX3vCDtRkJxjPqKmY",
    "a key cut short": VKEY[:-4],
    "the key under another name": VKEY.replace("acme", "acne"),
    "another log's key": LogKey.generate(ORIGIN, bytes([5] * 32)).verifier.to_text(),
    "half a surrogate pair": "a+00000000+\ud800",
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_the_wrong_kind_ends_with_2(pristine: Path, name: str) -> None:
    """Under what is no key of this log nothing can be told, and no secret is repeated."""
    result = verified(pristine, key=KEYS[name])
    assert result.exit_code == 2
    sound(result)
    assert "help: " in result.stdout
    assert "PRIVATE" not in result.output


def _other_checkpoint() -> str:
    return Log().checkpoint(key=LogKey.generate("elsewhere", bytes([3] * 32)))


KEPT: Mapping[str, bytes] = {
    "of another log": _other_checkpoint().encode(),
    "of a log that is longer": AUDIT.log.checkpoint().replace("\n28", "\n98").encode(),
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_checkpoint_that_tells_nothing(pristine: Path, tmp_path: Path, name: str) -> None:
    """A checkpoint of another log, or none, extends nothing: rewriting stays uncovered."""
    (tmp_path / "kept").write_bytes(KEPT[name])
    result = verified(pristine, "--checkpoint", str(tmp_path / "kept"))
    assert result.exit_code in (1, 2)
    assert result.exit_code == 2 or name != "of another log"
    sound(result)
    assert "the log extends" not in result.stdout
    assert "rewriting by the key's holder" in result.stdout


def test_signs_for_the_terminal_are_not_printed(audit: Path) -> None:
    """A name that a stranger signed moves no cursor, and half a pair ends no report."""
    (audit / "keys/export.pem").write_text(THIEF_KEY.public_pem)
    names = dict.fromkeys(("\x1b[2J", "\ud800"), "00" * 32)
    (audit / SIGNATURE).write_bytes(sign_files("x", names, THIEF_KEY))
    result = verified(audit)
    assert result.exit_code == 1
    assert r"(\x1b[2J)" in result.stdout
    assert r"(\ud800)" in result.stdout
    sound(result)
