"""What the holder of all keys can do: tell another story, and make every proof of it hold."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from proxy.ledger.bundle import LedgerEntry, Opening, entries_digest, openings_digest
from proxy.ledger.canonical import canonical
from proxy.ledger.entry import AdminEntry
from proxy.ledger.example import ExampleRow, ManifestLine, manifest_bytes, rows_root
from proxy.ledger.merkle import leaf_reader
from tests.proxy.ledger.sample import AT, NONCE, Case, Log

__all__ = ["Story", "forge"]


@dataclass(slots=True, kw_only=True)
class Story:
    """What a bundle tells, to be changed."""

    leaves: dict[int, dict[str, Any]]
    """The fields of each entry by its place; the last is the bundle's own."""
    rows: list[ExampleRow]
    manifest: list[ManifestLine]
    openings: list[Opening]
    policies: dict[str, bytes]
    terms: dict[str, bytes]
    grants: dict[str, bytes]

    def leaf(self, kind: str) -> dict[str, Any]:
        """The first entry of a kind."""
        return next(leaf for leaf in self.leaves.values() if leaf["kind"] == kind)

    def place(self, kind: str) -> int:
        """Where the first entry of a kind stands."""
        return next(seq for seq, leaf in self.leaves.items() if leaf["kind"] == kind)

    def rename(self, old: str, new: str) -> None:
        """Say `new` wherever an entry or an example says `old`."""
        self.leaves = {seq: _renamed(leaf, old, new) for seq, leaf in self.leaves.items()}
        self.rows = [ExampleRow.from_row(_renamed(row.to_row(), old, new)) for row in self.rows]

    def substitute(self, folder: str, digest: Callable[[bytes], str], old: str, new: bytes) -> None:
        """Put another document in place of the one whose digest is `old`."""
        documents: dict[str, bytes] = getattr(self, folder)
        del documents[old]
        documents[digest(new)] = new
        self.rename(old, digest(new))


def _renamed(row: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    found = json.loads(json.dumps(row).replace(old, new))
    assert isinstance(found, dict)
    return found


def forge(case: Case, change: Callable[[Story], object]) -> Case:
    """The bundle of a changed story: entries, commitments, tree and checkpoint made anew."""
    contents = case.contents
    story = Story(
        leaves={entry.seq: json.loads(entry.leaf) for entry in contents.entries},
        rows=list(contents.rows),
        manifest=list(contents.manifest),
        openings=list(contents.openings),
        policies=dict(contents.policies),
        terms=dict(contents.terms),
        grants=dict(contents.grants),
    )
    change(story)
    entries = _committed(story)
    log = _rewritten(case, entries)
    return Case(
        log=log,
        contents=replace(
            contents,
            checkpoint=log.checkpoint(),
            read=leaf_reader(log.hashes),
            entries=entries,
            rows=story.rows,
            manifest=story.manifest,
            openings=story.openings,
            policies=story.policies,
            terms=story.terms,
            grants=story.grants,
        ),
    )


def _committed(story: Story) -> list[LedgerEntry]:
    """The entries, the last of which commits to all that is told."""
    *others, (seq, subject) = sorted(story.leaves.items())
    entries = [LedgerEntry(place, canonical(leaf)) for place, leaf in others]
    subject["entries"] = entries_digest(entry.leaf for entry in entries)
    subject["openings"] = openings_digest(opening.seal for opening in story.openings)
    if subject["kind"] == "dataset":
        subject["rows"] = len(story.rows)
        subject["root"] = rows_root(row.to_row() for row in story.rows)
        subject["manifest"] = sha256(manifest_bytes(story.manifest)).hexdigest()
    return [*entries, LedgerEntry(seq, canonical(subject))]


def _rewritten(case: Case, entries: list[LedgerEntry]) -> Log:
    """The log with these entries in it; where one is gone, something harmless stands."""
    log = Log()
    log.leaves = list(case.log.leaves)
    for gone in {entry.seq for entry in case.contents.entries} - {entry.seq for entry in entries}:
        harmless = AdminEntry(
            id=f"filler-{gone}", at=AT, actor="user:1", action="tick", nonce=NONCE
        )
        log.leaves[gone] = canonical(harmless.model_dump(mode="json"))
    for entry in entries:
        log.leaves[entry.seq : entry.seq + 1] = [entry.leaf]
    return log
