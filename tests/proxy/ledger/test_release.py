"""A released student is shown to be the one on record, and nothing else is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.canonical import canonical
from proxy.ledger.checkpoint import LogKey
from proxy.ledger.entry import Entry, KeyEntry, ReleaseEntry, RunEntry
from proxy.ledger.envelope import ExportKey, read_signature
from proxy.ledger.leaf import read_leaf
from proxy.ledger.merkle import leaf_reader
from proxy.ledger.notice import notice_bytes
from proxy.ledger.release import (
    NOTICE_FILE,
    RELEASE,
    SIGNATURE_FILE,
    check_releases,
    files_digest,
    sign_release,
    verify_release,
    verify_weights,
)
from proxy.ledger.report import Report
from tests.proxy.ledger.sample import (
    AT,
    EXPORT_KEY,
    LOG_KEY,
    NONCE,
    THIEF_KEY,
    VKEY,
    Log,
    decision,
)


def digest(text: str) -> str:
    """sha256 (hex) of a text."""
    return sha256(text.encode()).hexdigest()


FILES = {"model.safetensors": digest("weights"), "README.md": digest("card")}
WEIGHTS = {"model.safetensors": digest("weights")}


def key_entry(**said: object) -> KeyEntry:
    """The entry that made the export key."""
    fields = {"id": "k", "at": AT, "actor": "user:1", "action": "create", "role": "export"}
    more = {"key": "export-1", "public": EXPORT_KEY.public_pem, "nonce": NONCE}
    return KeyEntry.model_validate(fields | more | said)


def run_entry(**said: object) -> RunEntry:
    """The entry of the run."""
    fields = {"id": "r", "at": AT, "actor": "user:1", "run": "run-1", "student": "router"}
    more = {"datasets": ["aa" * 32], "record": "bb" * 32, "base": "b", "steps": 2, "nonce": NONCE}
    return RunEntry.model_validate(fields | more | {"weights": WEIGHTS} | said)


def release_entry(**said: object) -> ReleaseEntry:
    """The entry of the release of `FILES`."""
    fields = {"id": "f", "at": AT, "actor": "user:2", "action": "release", "release": "f"}
    more = {"student": "router", "run": "run-1", "datasets": ["aa" * 32], "nonce": NONCE}
    judged = {"decision": decision("release", "permit"), "met_by": [f"NOTICE sha256:{'cc' * 32}"]}
    return ReleaseEntry.model_validate(
        fields | more | judged | {"files": files_digest(FILES)} | said
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What a verifier is given."""

    notice: bytes
    signature: bytes
    found: Mapping[str, str]

    def verify(self, vkey: str = VKEY) -> Report:
        """What holds of it."""
        return verify_release(self.notice, self.signature, self.found, vkey)


def folder(
    *entries: Entry,
    files: Mapping[str, str] = FILES,
    listed: Mapping[str, str] | None = None,
    key: ExportKey = EXPORT_KEY,
    log_key: LogKey = LOG_KEY,
    kind: str = RELEASE,
) -> Folder:
    """A genuine folder, but for what is asked for otherwise."""
    log = Log()
    made = [log.append(each) for each in entries or (key_entry(), run_entry(), release_entry())]
    notice = notice_bytes(
        kind,
        made,
        checkpoint=log.checkpoint(key=log_key),
        read=leaf_reader(log.hashes),
        about={"files": dict(FILES if listed is None else listed)},
    )
    signed = {**files, NOTICE_FILE: sha256(notice).hexdigest()}
    signature = sign_release("Router-1", signed, key)
    found = {**signed, SIGNATURE_FILE: sha256(signature).hexdigest()}
    return Folder(notice=notice, signature=signature, found=found)


def test_a_genuine_folder_is_proven() -> None:
    """The log, the signature, the files and the weights hold; what is left open is said."""
    report = folder().verify()
    assert (report.exit_code, report.findings, len(report.proven)) == (0, [], 4)
    assert "released on 2026-11-24T05:00:00.000Z by `user:2`" in report.proven[-1]
    assert report.not_covered == [
        "what was decided, erased or withdrawn after size 3",
        "rewriting by the key's holder",
    ]


def changed(path: str, value: str | None) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """What is found after one file was changed, added or taken away."""

    def change(found: Mapping[str, str]) -> dict[str, str]:
        rest = {name: each for name, each in found.items() if name != path}
        return rest if value is None else {**rest, path: value}

    return change


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (changed("README.md", digest("edited")), {"file-changed"}),
        (changed("README.md", None), {"file-absent"}),
        (changed("more.txt", digest("x")), {"file-added"}),
        (changed("model.safetensors", digest("other")), {"file-changed", "weights"}),
        (changed("model.safetensors", None), {"file-absent", "weights"}),
        (changed(NOTICE_FILE, digest("other")), {"file-changed"}),
    ],
)
def test_any_change_is_found(
    change: Callable[[Mapping[str, str]], dict[str, str]], codes: set[str]
) -> None:
    """A file changed, added or taken away makes the folder false."""
    made = folder()
    report = verify_release(made.notice, made.signature, change(made.found), VKEY)
    assert report.exit_code == 1
    assert {finding.code for finding in report.findings} == codes


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (folder(key_entry(), run_entry(), release_entry(action="approve")), "release"),
        (folder(key_entry(), run_entry(run="run-2"), release_entry()), "release"),
        (folder(key_entry(action="revoke"), run_entry(), release_entry()), "release"),
        (folder(key_entry(role="log"), run_entry(), release_entry()), "release"),
        (folder(run_entry(), release_entry()), "release"),
        (
            folder(key_entry(), run_entry(), release_entry(decision=decision("release", "review"))),
            "release",
        ),
        (folder(key_entry(), run_entry(), release_entry(files=None)), "release"),
        (folder(listed={**FILES, "more": digest("more")}), "release"),
        (folder(listed={"é": "no digest"}), "release"),
        (folder(key=THIEF_KEY), "signature"),
    ],
)
def test_what_no_entry_bears_out_is_false(made: Folder, code: str) -> None:
    """An approval, another run, a key that signs nothing, a thief's key: each is refuted."""
    report = made.verify()
    assert report.exit_code == 1
    assert [finding.code for finding in report.findings] == [code]
    assert not any("these weights" in line for line in report.proven if code == "release")


@pytest.mark.parametrize(
    "made",
    [
        folder(kind="dataset-status"),
        folder(log_key=LogKey.generate("other.example", bytes(32))),
        Folder(notice=b"{}", signature=b"{}", found={}),
    ],
)
def test_what_is_no_release_of_this_log_is_not_told(made: Folder) -> None:
    """A notice of another kind or of another log shows nothing, and refutes nothing."""
    assert made.verify().exit_code == 2


def test_a_key_that_is_none_is_said() -> None:
    """A pinned text that is no key cannot tell anything."""
    report = folder().verify("no key")
    assert (report.exit_code, report.proven) == (2, [])


def test_a_forged_checkpoint_is_false() -> None:
    """The right name under another key is a forgery."""
    forger = LogKey.generate(LOG_KEY.name, bytes(range(32)))
    assert folder(log_key=forger).verify().exit_code in (1, 2)
    assert folder(log_key=forger).verify().proven == []


def test_weights_alone_are_told() -> None:
    """Weights that lie elsewhere are compared with the release's; nothing else is looked at."""
    notice = folder().notice
    good = verify_weights(notice, WEIGHTS | {"more": digest("more")}, VKEY)
    assert (good.exit_code, "files of the folder that no loader reads" in good.not_covered) == (
        0,
        True,
    )
    for path in ("adapter_config.json", "modeling.py", "model-00002-of-00002.SAFETENSORS"):
        more = verify_weights(notice, WEIGHTS | {path: digest("more")}, VKEY)
        assert (more.exit_code, [each.code for each in more.findings]) == (1, ["file-added"])
    assert verify_weights(notice, {"model.safetensors": digest("x")}, VKEY).exit_code == 1
    assert verify_weights(b"[]", WEIGHTS, VKEY).exit_code == 2


def test_a_run_without_weights_tells_nothing() -> None:
    """Where the run names no file there is nothing to compare."""
    made = folder(key_entry(), run_entry(weights={}), release_entry())
    assert made.verify().exit_code == 2


def test_the_signature_is_model_signings() -> None:
    """Its statement has the predicate and the order that model_signing reads, and is the same again."""
    digests = {"b/c": digest("1"), "b.x": digest("2"), "a": digest("3")}
    made = sign_release("Router-1", digests, EXPORT_KEY)
    assert made == sign_release("Router-1", digests, EXPORT_KEY)
    assert read_signature(made, EXPORT_KEY.public_pem) == digests
    said = json.loads(made)
    assert said["verificationMaterial"]["tlogEntries"] == []


@given(data=st.data())
def test_no_bit_of_the_notice_may_turn(data: st.DataObject) -> None:
    """Whichever byte of the log's word changes, the folder is not shown to be the release."""
    made = folder()
    at = data.draw(st.integers(0, len(made.notice) - 1))
    bits = data.draw(st.integers(1, 255))
    turned = bytearray(made.notice)
    turned[at] ^= bits
    found = {**made.found, NOTICE_FILE: sha256(turned).hexdigest()}
    assert verify_release(bytes(turned), made.signature, found, VKEY).exit_code != 0


def listed(*entries: ReleaseEntry) -> list[str]:
    """What is refuted among the entries of a bundle."""
    report = Report()
    made = [LedgerEntry(at, canonical(each.model_dump())) for at, each in enumerate(entries)]
    check_releases([read_leaf(each.seq, each.leaf) for each in made], report)
    return [finding.message for finding in report.findings]


def test_releases_in_an_audit_are_borne_out() -> None:
    """A release needs a permit, something for each duty, and the approval it names, of its own run."""
    approval = release_entry(id="a", action="approve", files=None)
    other = read_leaf(0, canonical(run_entry().model_dump()))
    report = Report()
    check_releases([other], report)
    assert report == Report()
    good = release_entry(approval="a")
    assert listed(approval, good) == []
    assert listed(release_entry()) == []
    assert "approval" in listed(good)[0]
    assert "approval" in listed(good, approval)[0]
    assert "approval" in listed(approval.model_copy(update={"run": "run-2"}), good)[0]
    assert "duty open" in listed(release_entry(met_by=[]))[0]
    assert "no permit" in listed(release_entry(decision=decision("release", "forbid")))[0]
