"""The files around a release: papers that people supply, texts on record, and the folder that is written."""

import os
from collections.abc import Iterable, Mapping
from hashlib import file_digest, sha256
from importlib.metadata import distribution
from pathlib import Path

from proxy.errors import BundleError, SettingsError
from proxy.ledger.entry import SnapshotEntry
from proxy.ledger.envelope import ExportKey
from proxy.ledger.release import NOTICE_FILE, SIGNATURE_FILE, sign_release
from proxy.ledger.source import Folder
from proxy.ledger.writing import BundleWriter

__all__ = ["ReleaseWriter", "digests_in", "papers_in", "shipped_licences", "texts_on_record"]

_PIECE_BYTES = 1 << 20
_MAX_PAPER_BYTES = 4 << 20


class ReleaseWriter(BundleWriter):
    """Writes the folder of a release: whole, or not at all."""

    @property
    def digests(self) -> Mapping[str, str]:
        """sha256 (hex) of each file written so far, by path."""
        return dict(self._digests)

    def copy(self, name: str, source: Path, digest: str) -> None:
        """Copy a file of a run that must be the one on record.

        Raises:
            BundleError: it cannot be read, or is another.
        """
        file = self.begin(name)
        try:
            with source.open("rb") as stream:
                while piece := stream.read(_PIECE_BYTES):
                    file.write(piece)
        except OSError as error:
            raise BundleError(
                f"the weights cannot be read: {(error.strerror or 'unknown reason').lower()}",
                help="put the run's directory back, and make room; nothing is on record",
                where=str(source),
                code="no-weights",
            ) from error
        self.end(name)
        if self._digests[name] != digest:
            raise BundleError(
                "this is not the file that the run made",
                help="get the run's directory again from where it was made; nothing is on record",
                where=str(source),
                code="weights-changed",
            )

    def seal(self, name: str, notice: bytes, key: ExportKey) -> None:
        """Add the log's word, sign all files as `name`, and put the folder in place."""
        self.add(NOTICE_FILE, notice)
        self.add(SIGNATURE_FILE, sign_release(name, self._digests, key))
        for folder, _, _ in os.walk(self._draft, topdown=False):
            _sync(Path(folder))
        self._draft.rename(self._target)
        _sync(self._target.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digests_in(folder: Path) -> dict[str, str]:
    """sha256 (hex) of every file below a folder, by path.

    Raises:
        BundleError: there is no such folder, or something in it is a link or no plain file.
    """
    if not folder.is_dir():
        raise BundleError(
            "there is no folder here", help="give the folder of a release", where=str(folder)
        )
    found: dict[str, str] = {}
    for name in Folder(folder).sizes:
        with (folder / name).open("rb") as stream:
            found[name] = file_digest(stream, "sha256").hexdigest()
    return found


def papers_in(folder: Path) -> dict[str, bytes]:
    """The papers of a folder, by path; none where there is no folder.

    Raises:
        SettingsError: one is a link, too large, or cannot be read.
    """
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise _bad_paper(path, "it is a link", "put a copy of the file here")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = _read(path)
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_PAPER_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise _bad_paper(path, reason, "check its permissions") from error
    if len(data) > _MAX_PAPER_BYTES:
        raise _bad_paper(path, "it has more than 4 MiB", "supply the text alone")
    return data


def _bad_paper(path: Path, reason: str, fix: str) -> SettingsError:
    return SettingsError(
        f"the paper cannot be read: {reason}", help=fix, where=str(path), code="bad-paper"
    )


def texts_on_record(
    taken: Iterable[SnapshotEntry], folder: Path, sources: Iterable[str]
) -> dict[str, bytes]:
    """The newest text on record of each of these sources, where it is in the folder unchanged."""
    wanted = set(sources)
    newest: dict[str, SnapshotEntry] = {}
    for entry in taken:
        if entry.action == "import" and entry.source in wanted:
            last = newest.get(entry.source)
            if last is None or entry.taken_at >= last.taken_at:
                newest[entry.source] = entry
    found: dict[str, bytes] = {}
    for source, entry in newest.items():
        path = folder / f"{entry.text}.txt"
        data = path.read_bytes() if path.is_file() else b""
        if sha256(data).hexdigest() == entry.text:
            found[source] = data
    return found


def shipped_licences() -> dict[str, bytes]:
    """Texts of licences that come with inbond: its own."""
    text = distribution("inbond").read_text("licenses/LICENSE")
    return {} if text is None else {"Apache-2.0": text.encode()}
