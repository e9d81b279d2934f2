"""A released student as others check it: its files, the log's word on them, and one signature.

`release.json` is a notice of the export key's entry, the run's and the release's. The release's entry
commits to every other file of the folder by its sha256; the run's names the weights. `model.sig` is an
OpenSSF model-signing bundle over all files, as `proxy.ledger.envelope` describes it: check it with
`model_signing verify key`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

from proxy.errors import BundleError, CanonicalError, ProofError
from proxy.ledger.bundle import ENTRIES
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.dsse import signed_statement
from proxy.ledger.envelope import ExportKey, read_signature
from proxy.ledger.leaf import Leaf
from proxy.ledger.notice import Notice, read_notice
from proxy.ledger.report import Report

__all__ = [
    "NOTICE_FILE",
    "RELEASE",
    "SIGNATURE_FILE",
    "check_releases",
    "files_digest",
    "sign_release",
    "verify_release",
    "verify_weights",
]

RELEASE = "student-release"
"""The kind of these notices."""

NOTICE_FILE = "release.json"
SIGNATURE_FILE = "model.sig"

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PREDICATE = "https://model_signing/signature/v1.0"
_UNTOLD = frozenset({"key", "newer", "note", "notice", "other-log", "unsigned"})
"""What errors of a notice leave open: it is not shown to be false."""
_LOADED = (
    ".bin", ".ckpt", ".gguf", ".h5", ".jinja", ".json", ".model", ".msgpack", ".onnx", ".pt", ".pth",
    ".py", ".safetensors",
)  # fmt: skip
"""Ends of the names of files that change what a model says: weights, adapters, settings, code."""
_REWRITING = "rewriting by the key's holder"


def files_digest(files: Mapping[str, str]) -> str:
    """What a `release` entry commits to: sha256 (hex) over the sha256 (hex) of each file, by path."""
    return sha256(canonical(dict(files))).hexdigest()


def sign_release(name: str, digests: Mapping[str, str], key: ExportKey) -> bytes:
    """The content of `model.sig` over files, given by path and sha256 in hex.

    `name` is what the student is called.
    """
    # Order matters to model_signing: it sorts paths, not texts, before it hashes their digests.
    names = sorted(digests, key=PurePosixPath)
    over_all = sha256(b"".join(bytes.fromhex(digests[path]) for path in names)).hexdigest()
    predicate: dict[str, Json] = {
        "serialization": {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": [SIGNATURE_FILE],
        },
        "resources": [
            {"name": path, "algorithm": "sha256", "digest": digests[path]} for path in names
        ],
    }
    subject: dict[str, Json] = {"name": name, "digest": {"sha256": over_all}}
    envelope = signed_statement([subject], _PREDICATE, predicate, key)
    return canonical(
        {
            "mediaType": _MEDIA_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": sha256(key.public_pem.encode()).hexdigest()},
                "tlogEntries": [],
            },
            "dsseEnvelope": json.loads(envelope),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proven:
    """What a notice says, once its entries were shown to stand in the log."""

    release: Leaf
    run: Leaf
    key: Leaf
    size: int
    listed: Mapping[str, str]
    """The sha256 (hex) of each file, by path: what the release's entry commits to."""


def check_releases(leaves: Iterable[Leaf], report: Report) -> None:
    """Note each release among the entries of a bundle that its own entries do not bear out."""
    approvals: dict[str, Leaf] = {}
    for leaf in leaves:
        if leaf.kind != "release":
            continue
        if leaf.text("action") == "approve":
            approvals[leaf.id] = leaf
            continue
        if leaf.text("decision", "verdict") != "permit":
            report.refute("release", ENTRIES, f"the decision of release `{leaf.id}` is no permit")
        if len(leaf.texts("met_by")) != len(leaf.texts("decision", "duties")):
            report.refute("release", ENTRIES, f"release `{leaf.id}` leaves a duty open")
        approval = leaf.fields["approval"]
        if approval is None:
            continue
        found = approvals.get(str(approval))
        if found is None or found.text("run") != leaf.text("run"):
            report.refute(
                "release", ENTRIES, f"release `{leaf.id}` names an approval that is not before it"
            )


def verify_release(notice: bytes, signature: bytes, found: Mapping[str, str], vkey: str) -> Report:
    """What holds of a folder under the pinned log key. Never raises on a bad folder.

    `found` has the sha256 (hex) of every file of the folder by its path, `release.json` and
    `model.sig` among them.
    """
    report = Report()
    proven = _prove(notice, vkey, report)
    if proven is None:
        return report
    _check_signature(proven, signature, found, report)
    others = {
        path: digest for path, digest in found.items() if path not in (NOTICE_FILE, SIGNATURE_FILE)
    }
    _check_files(proven, others, report)
    _check_weights(proven, found, report)
    return _end(proven, report)


def verify_weights(notice: bytes, found: Mapping[str, str], vkey: str) -> Report:
    """Whether the weights in a folder are those of a release that lies elsewhere; all else is left."""
    report = Report()
    proven = _prove(notice, vkey, report)
    if proven is None:
        return report
    _check_weights(proven, found, report)
    known = {*(proven.run.record("weights") or {}), *proven.listed, NOTICE_FILE}
    for path in sorted(found.keys() - known):
        if path.lower().endswith(_LOADED):
            report.refute("file-added", path, "a loader reads such a file, and the run made none")
    report.not_covered.append("files of the folder that no loader reads")
    return _end(proven, report)


def _prove(data: bytes, vkey: str, report: Report) -> _Proven | None:
    try:
        notice = read_notice(data, vkey, kind=RELEASE)
        proven = _read(notice)
    except (ProofError, BundleError) as error:
        report.note(error, where=NOTICE_FILE, is_false=error.code not in _UNTOLD)
        return None
    report.proven.append(
        f"the checkpoint at size {notice.size} is signed by the pinned key, and the entries of the "
        "run, the release and its key stand in that log"
    )
    return proven


def _read(notice: Notice) -> _Proven:
    leaves = {leaf.kind: leaf for leaf in notice.leaves}
    if len(notice.leaves) != 3 or leaves.keys() != {"key", "run", "release"}:
        raise _wrong("the notice is not of a key, a run and a release")
    release, run, key = leaves["release"], leaves["run"], leaves["key"]
    if release.text("action") != "release" or release.text("run") != run.text("run"):
        raise _wrong("the entry does not release that run")
    if (key.text("role"), key.text("action")) != ("export", "create"):
        raise _wrong("the key is none that signs")
    if release.text("decision", "verdict") != "permit":
        raise _wrong("the entry's own decision does not permit it")
    listed = notice.about.get("files")
    files = (
        {path: str(digest) for path, digest in listed.items()} if isinstance(listed, dict) else {}
    )
    try:
        is_committed = files_digest(files) == release.text("files")
    except CanonicalError:
        is_committed = False
    if not is_committed:
        raise _wrong("the list of files is not the one that the entry commits to")
    return _Proven(release=release, run=run, key=key, size=notice.size, listed=files)


def _check_signature(
    proven: _Proven, signature: bytes, found: Mapping[str, str], report: Report
) -> None:
    try:
        signed = read_signature(signature, proven.key.text("public"))
    except ProofError as error:
        error.where = SIGNATURE_FILE
        report.note(error, where=SIGNATURE_FILE)
        return
    present = {path: digest for path, digest in found.items() if path != SIGNATURE_FILE}
    before = len(report.findings)
    _compare(signed, present, "the signature covers", report)
    if len(report.findings) == before:
        report.proven.append(
            f"the signature in `{SIGNATURE_FILE}` is the log's export key's, and covers all "
            f"{len(present)} other files"
        )


def _check_files(proven: _Proven, found: Mapping[str, str], report: Report) -> None:
    before = len(report.findings)
    _compare(proven.listed, found, "the release lists", report)
    if len(report.findings) == before:
        report.proven.append(f"its {len(found)} files are exactly those that the entry commits to")


def _compare(
    wanted: Mapping[str, str], found: Mapping[str, str], says: str, report: Report
) -> None:
    for path in sorted(wanted.keys() - found.keys()):
        report.refute("file-absent", path, f"{says} a file that is not here")
    for path in sorted(found.keys() - wanted.keys()):
        report.refute("file-added", path, f"{says} no such file")
    for path in sorted(wanted.keys() & found.keys()):
        if wanted[path] != found[path]:
            report.refute("file-changed", path, f"{says} it with another content")


def _check_weights(proven: _Proven, found: Mapping[str, str], report: Report) -> None:
    made = {path: str(digest) for path, digest in (proven.run.record("weights") or {}).items()}
    wrong = [path for path, digest in sorted(made.items()) if found.get(path) != digest]
    for path in wrong:
        report.refute("weights", path, "this is not the file that the run made")
    if made and not wrong:
        release = proven.release
        report.proven.append(
            f"these weights are those of run `{proven.run.text('run')}`, released on "
            f"{release.text('at')} by `{release.text('actor')}`"
        )
    elif not made:
        report.doubt("weights", NOTICE_FILE, "the run's entry names no weights")


def _end(proven: _Proven, report: Report) -> Report:
    report.claimed.append("that each duty is met by what the entry names, and who the actors are")
    report.claimed.append("that the run made the weights from its datasets and its base alone")
    report.not_covered.append(f"what was decided, erased or withdrawn after size {proven.size}")
    report.not_covered.append(_REWRITING)
    return report


def _wrong(message: str) -> ProofError:
    return ProofError(
        message, help="get the release again from who made it", where=NOTICE_FILE, code="release"
    )
