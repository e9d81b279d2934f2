"""Tests of proxy.ledger.anchored."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.errors import BundleError, LedgerError, ProofError
from proxy.ledger.anchored import (
    NOBODY,
    Trusted,
    chain_of,
    check_anchors,
    check_cosigned,
    trusted_of,
)
from proxy.ledger.checkpoint import Checkpoint, LogKey, sign_checkpoint
from proxy.ledger.cosignature import WitnessKey, cosign
from proxy.ledger.handover import sign_handover
from proxy.ledger.merkle import leaf_reader, root_of
from proxy.ledger.note import read_note, signature_line
from proxy.ledger.report import Report
from proxy.ledger.verify import verify
from tests.proxy.ledger.sample import AT, LOG_KEY, ORIGIN, VKEY, Case, audit_case
from tests.proxy.stamping import stamping_authority

WITNESS = WitnessKey.generate("witness.example/w", bytes(32))
OTHER = WitnessKey.generate("other.example/w", bytes(range(32)))
NEXT = LogKey.generate(ORIGIN, bytes([5] * 32))
CASE = audit_case()
HASHES = CASE.log.hashes
SIZE = len(HASHES)
SEEN_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
TRUSTED = trusted_of([WITNESS.verifier.to_text()], b"")
TSA = stamping_authority()


@dataclass(frozen=True, slots=True)
class InMemory:
    """The files of a bundle in memory."""

    files: Mapping[str, bytes | str]

    @property
    def names(self) -> Collection[str]:
        """Their paths."""
        return self.files.keys()

    def read(self, name: str) -> bytes:
        """One of them."""
        if name not in self.files:
            raise BundleError(f"the bundle has no `{name}`", where=name)
        found = self.files[name]
        return found.encode() if isinstance(found, str) else found


def note(size: int, key: LogKey = LOG_KEY) -> str:
    """The checkpoint of the first leaves."""
    root = root_of(HASHES[:size])
    return sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root), key)


def cosigned(size: int, key: WitnessKey = WITNESS) -> str:
    """The same with a witness's line under it."""
    return note(size) + cosign(read_note(note(size)).text, key, SEEN_AT)


def checked(files: Mapping[str, bytes | str], trusted: Trusted = TRUSTED) -> tuple[int, Report]:
    """What is told of these files, and the size that a witness saw."""
    report, bundle = Report(), InMemory(files)
    chain = chain_of(bundle, LOG_KEY.verifier, report)
    head = Checkpoint(origin=ORIGIN, size=SIZE, root=root_of(HASHES))
    return check_anchors(bundle, chain, head, leaf_reader(HASHES), trusted, report), report


def codes(report: Report) -> list[tuple[str, bool]]:
    """The findings, and whether each says that something is false."""
    return [(finding.code, finding.is_false) for finding in report.findings]


def test_a_trusted_witness_covers_what_it_saw() -> None:
    """Its cosignature is told with its time, and the largest size that it saw counts."""
    files = {f"log/anchors/{size}.cosigned": cosigned(size) for size in (5, 200)}
    seen, report = checked(files)
    assert (seen, codes(report)) == (200, [])
    (line,) = report.proven
    assert line.endswith(
        "size 200, and that it only grew until then: `witness.example/w` at 2026-11-24T12:00:00+00:00"
    )


def test_a_witness_that_is_not_trusted_covers_nothing() -> None:
    """A cosignature of a key that the reader did not give is named, and no more."""
    seen, report = checked({"log/anchors/5.cosigned": cosigned(5, OTHER)}, NOBODY)
    assert (seen, codes(report), report.proven) == (0, [], [])
    assert report.not_covered == [
        "cosignatures of witnesses whose key was not given: `other.example/w`"
    ]


def test_a_witness_that_is_asked_for_must_be_here() -> None:
    """Where the reader names a witness and it signed nothing, it cannot be told."""
    for files in ({}, {"log/anchors/5.cosigned": cosigned(5, OTHER)}):
        seen, report = checked(files)
        assert (seen, codes(report)) == (0, [("not-witnessed", False)])


def test_history_that_a_witness_saw_cannot_be_rewritten() -> None:
    """A cosigned checkpoint that the bundle's tree does not extend is false, whoever signed both."""
    fork = Checkpoint(origin=ORIGIN, size=5, root=bytes(32))
    text = sign_checkpoint(fork, LOG_KEY)
    line = cosign(fork.to_text(), WITNESS, SEEN_AT)
    seen, report = checked({"log/anchors/5.cosigned": text + line})
    assert (seen, codes(report)) == (0, [("rewritten", True), ("not-witnessed", False)])


def test_a_false_cosignature_is_found() -> None:
    """A line of the trusted witness that is of another checkpoint is false."""
    line = cosign(read_note(note(6)).text, WITNESS, SEEN_AT)
    _, report = checked({"log/anchors/5.cosigned": note(5) + line})
    assert codes(report)[0] == ("cosignature", True)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"log/anchors/6.cosigned": cosigned(5)}, "anchor"),
        ({"log/anchors/5.checkpoint": note(5), "log/anchors/5.cosigned": cosigned(6)}, "anchor"),
        ({"log/anchors/5.tsa.tsr": b"", "log/anchors/5.cosigned": cosigned(5)}, "anchor"),
        ({"log/anchors/5.tsa.tsr": b""}, "anchor"),
        ({"log/anchors/5.checkpoint": note(5, NEXT)}, "unsigned"),
        ({"log/anchors/5.checkpoint": b"\xff"}, "note"),
    ],
)
def test_files_that_do_not_fit_together_are_found(
    files: Mapping[str, bytes | str], code: str
) -> None:
    """A size that is not the note's, two notes of one size, a stamp without one, a stranger's note."""
    _, report = checked(files, NOBODY)
    assert codes(report) == [(code, True)]


def test_time_stamps_are_told(tmp_path: Path) -> None:
    """Under the authority's root a stamp dates the entries; without it, it is only counted."""
    stamped = _stamped(note(5))
    files: dict[str, bytes | str] = {
        "log/anchors/5.checkpoint": note(5),
        "log/anchors/5.tsa.tsr": stamped,
    }
    _, report = checked(files, trusted_of([], TSA.ca))
    assert codes(report) == []
    (line,) = report.proven
    assert line.startswith("the first 5 entries stood so by 20")
    assert line.endswith("time-stamp of `CN=Stamps`")
    _, report = checked(files, NOBODY)
    assert (codes(report), report.proven) == ([], [])
    assert "1 time-stamps" in report.not_covered[0]
    contents = replace(CASE.contents, files={k: _bytes(v) for k, v in files.items()}, older=[5])
    target = Case(log=CASE.log, contents=contents).write(tmp_path / "audit")
    assert verify(target, VKEY, now=AT, trusted=trusted_of([], TSA.ca)).exit_code == 0


def test_false_and_strange_time_stamps_are_told_apart() -> None:
    """A stamp of other bytes is false; one of another authority cannot be told."""
    stamped = _stamped(note(6))
    files: dict[str, bytes | str] = {
        "log/anchors/5.checkpoint": note(5),
        "log/anchors/5.tsa.tsr": stamped,
    }
    _, report = checked(files, trusted_of([], TSA.ca))
    assert codes(report) == [("timestamp", True)]
    files["log/anchors/5.tsa.tsr"] = _stamped(note(5))
    _, report = checked(files, trusted_of([], stamping_authority("Others").ca))
    assert codes(report) == [("authority", False)]


def test_a_replaced_key_is_followed(tmp_path: Path) -> None:
    """A reader of the old key is told of the new one; one of the new key sees nothing odd."""
    head = Checkpoint(origin=ORIGIN, size=100, root=root_of(HASHES[:100]))
    files = {"log/handovers/100.note": sign_handover(head, LOG_KEY, NEXT).encode()}
    contents = replace(CASE.contents, checkpoint=note(SIZE, NEXT), files=files, older=[100])
    target = Case(log=CASE.log, contents=contents).write(tmp_path / "audit")
    report = verify(target, VKEY, now=AT)
    assert report.exit_code == 0
    assert any("handed the log over to" in line and "size 100" in line for line in report.proven)
    assert any("signed by a key that came after" in line for line in report.proven)
    new = verify(target, NEXT.verifier.to_text(), checkpoints=[note(100)], now=AT)
    assert new.exit_code == 0
    assert "the log extends the checkpoint at size 100" in new.proven
    assert not any("handed" in line for line in new.proven)


def test_without_the_handover_the_new_key_is_a_stranger_s(tmp_path: Path) -> None:
    """A checkpoint of a key that the pinned one did not name cannot be told; a bad handover is false."""
    contents = replace(CASE.contents, checkpoint=note(SIZE, NEXT))
    bare = Case(log=CASE.log, contents=contents).write(tmp_path / "bare")
    report = verify(bare, VKEY)
    assert (report.exit_code, codes(report)) == (2, [("unsigned", False)])
    fork = Checkpoint(origin=ORIGIN, size=100, root=bytes(32))
    for name, text in (("fork", sign_handover(fork, LOG_KEY, NEXT)), ("none", note(100))):
        files = {"log/handovers/100.note": text.encode()}
        wrong = replace(contents, files=files, older=[100])
        target = Case(log=CASE.log, contents=wrong).write(tmp_path / name)
        assert verify(target, VKEY).exit_code == 1


@pytest.mark.parametrize(
    ("name", "code"), [(ORIGIN, "signature"), ("stranger.example", "rewritten")]
)
def test_a_line_that_looks_like_the_pinned_key_s_hides_no_rewriting(
    name: str, code: str, tmp_path: Path
) -> None:
    """The new key's holder cannot drop what came before it by a line that the old key never signed."""
    head = Checkpoint(origin=ORIGIN, size=SIZE, root=bytes(32))
    files = {f"log/handovers/{SIZE}.note": sign_handover(head, LOG_KEY, NEXT).encode()}
    line = signature_line(name, LOG_KEY.verifier.key_id, bytes(64))
    contents = replace(CASE.contents, checkpoint=note(SIZE, NEXT) + line, files=files)
    target = Case(log=CASE.log, contents=contents).write(tmp_path / "audit")
    assert codes(verify(target, VKEY)) == [(code, True)]


def test_the_cosignature_of_a_receipt_is_told() -> None:
    """A text that ends with a cosigned checkpoint shows who saw it; without a line it cannot be told."""
    for text, expected in (
        (cosigned(5), []),
        (note(5), [("not-witnessed", False)]),
        (note(5) + cosign("x\n", WITNESS, SEEN_AT), [("cosignature", True)]),
        ("no note", [("note", False)]),
    ):
        report = Report()
        check_cosigned(f"head\n\n{text}", TRUSTED, report)
        assert codes(report) == expected
    report = Report()
    check_cosigned("", NOBODY, report)
    assert report == Report()


def test_a_size_whose_tile_is_not_here_leaves_it_open() -> None:
    """Where the bundle does not hold what shows the older tree, it cannot be told."""

    def absent(level: int, start: int, count: int) -> list[bytes]:
        raise LedgerError(f"no tile {level} {start} {count}", code="tile-absent")

    report, bundle = Report(), InMemory({"log/anchors/5.checkpoint": note(5)})
    head = Checkpoint(origin=ORIGIN, size=SIZE, root=root_of(HASHES))
    chain = chain_of(bundle, LOG_KEY.verifier, report)
    assert check_anchors(bundle, chain, head, absent, NOBODY, report) == 0
    assert codes(report) == [("tile-absent", False)]


def test_without_the_library_time_stamps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who gives certificates and cannot read time-stamps is told what to install."""
    monkeypatch.setitem(sys.modules, "proxy.ledger.timestamp", None)
    with pytest.raises(ProofError) as caught:
        trusted_of([], TSA.ca)
    assert (caught.value.code, "openssl ts" in caught.value.help) == ("missing-module", True)


def test_what_is_trusted_is_checked_first() -> None:
    """A text that is no witness's key, or a PEM without a root, trusts nobody."""
    for witnesses, pem in (([VKEY], b""), ([], b"text")):
        with pytest.raises(ProofError):
            trusted_of(witnesses, pem)


def _stamped(text: str) -> bytes:
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(text.encode()).hash_algorithm(HashAlgorithm.SHA256)
    return TSA.answer(builder.build().as_bytes())


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
