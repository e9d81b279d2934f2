"""inbond's own copies of bundles in a workspace, found by what they say they are, and deleted."""

import os
import shutil
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path

from proxy.errors import BundleError, LedgerError, ProofError
from proxy.ledger.bundle import ENTRIES, EXAMPLES, EXPORT, EXPORT_KEY, OPENINGS, read_bundle
from proxy.ledger.envelope import SIGNATURE, read_signature
from proxy.ledger.receipt import Receipt, is_receipt
from proxy.ledger.writing import is_draft

__all__ = ["copies_in", "delete_copy", "drafts_in"]

_OTHERS = frozenset({"keys", "policies", "run"})
"""Folders of a workspace in which nobody puts bundles."""

_TEXTS = (EXAMPLES, OPENINGS, EXPORT)
"""The files of a bundle that hold texts, and last the one by which it is found."""


def copies_in(
    workspace: Path, datasets: Path, entries: Collection[str]
) -> dict[str, tuple[Path, ...]]:
    """The bundles, as folders and as zips, and the receipts of these `dataset` and `export` entries, by entry.

    A bundle that cannot be read counts where its own folder in `datasets` names it. Of one that was
    unpacked among other files these are left alone: its files with texts are the copy.
    """
    found: dict[str, list[Path]] = {}
    if not entries:
        return {}
    for path in _bundles(workspace, datasets):
        is_named = path.parent == datasets and path.name in entries
        subject = path.name if is_named else _subject(path)
        if subject is not None and subject in entries:
            is_whole = is_named or _is_own(path, datasets)
            parts = [path] if is_whole else [path / name for name in _TEXTS]
            found.setdefault(subject, []).extend(part for part in parts if part.exists())
    return {entry: tuple(sorted(paths)) for entry, paths in found.items()}


def drafts_in(workspace: Path, datasets: Path) -> tuple[Path, ...]:
    """The folders in which bundles are being written, or that a crash left half written."""
    return tuple(
        Path(folder) / name
        for top in (workspace, datasets)
        for folder, folders, _ in os.walk(top)
        for name in folders
        if is_draft(name) and _begun(Path(folder) / name)
    )


def delete_copy(path: Path) -> None:
    """Delete a bundle; one that is gone already is as it should be.

    Raises:
        LedgerError: it cannot be deleted.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LedgerError(
            f"a copy cannot be deleted: {(error.strerror or 'unknown reason').lower()}",
            where=str(error.filename or path),
            help="mend its permissions, then run `inbond erase --finish`",
            code="copy-not-deleted",
        ) from error


def _begun(draft: Path) -> bool:
    """Whether a folder holds what a bundle begins with, before any text."""
    return not draft.is_symlink() and any((draft / name).is_file() for name in (ENTRIES, EXPORT))


def _bundles(workspace: Path, datasets: Path) -> Iterator[Path]:
    # The folder of datasets may be a link to another disk.
    for folder, folders, names in chain(
        os.walk(workspace), os.walk(datasets) if datasets.is_symlink() else ()
    ):
        here = Path(folder)
        if here == workspace:
            folders[:] = [name for name in folders if name not in _OTHERS]
        if EXPORT in names:
            yield here
            if _is_own(here, datasets):
                folders.clear()
                continue
        files = (here / name for name in names)
        yield from (path for path in files if path.suffix == ".zip" or _is_receipt(path))


def _is_own(path: Path, datasets: Path) -> bool:
    """Whether a path is a zip, or a folder of nothing but what the bundle's own signature names."""
    if not path.is_dir():
        return True
    if datasets == path or path in datasets.parents:
        return False
    try:
        with read_bundle(path) as bundle:
            pem = bundle.read(EXPORT_KEY).decode(errors="replace")
            signed = read_signature(bundle.read(SIGNATURE), pem)
            return set(bundle.names) <= {*signed, SIGNATURE}
    except (BundleError, ProofError):
        return False


def _is_receipt(path: Path) -> bool:
    try:
        return is_receipt(path)
    except OSError:
        return False


def _subject(path: Path) -> str | None:
    if _is_receipt(path):
        try:
            return Receipt.from_text(path.read_text(encoding="utf-8", errors="replace")).export
        except ProofError:
            return None
    try:
        with read_bundle(path) as bundle:
            return str(bundle.about().get("subject"))
    except BundleError:
        return None
