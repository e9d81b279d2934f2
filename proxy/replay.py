"""The ledger's exchanges as `policies.diff` replays them: streamed, with the datasets that hold them.

Each exchange is put before the request gate and, where its answer was read to its end, before the
response and the dataset gate: for the student whose facts were stamped, and for the student of each
dataset that holds it. Facts, clearances and judgements are those on record.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO

from policies.diff import Snapshot
from policies.model import Fact, Gate
from proxy.clock import parse_time, stamp
from proxy.enforce import facts_at_response, facts_of_leaf
from proxy.errors import BundleError, LedgerError
from proxy.ledger.bundle import MANIFEST
from proxy.ledger.entry import DatasetEntry, DecisionEntry
from proxy.ledger.example import read_manifest
from proxy.store.queries import datasets, entry_by_id, runs
from proxy.store.replays import Ended, ended
from proxy.store.session import Reading

__all__ = ["Held", "Learned", "Replay", "held_datasets", "runs_on"]

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A dataset on record, and whether its manifest is here to say which exchanges it holds."""

    dataset: str
    student: str
    root: str
    manifest: Path | None
    problem: str = ""
    """Why its manifest says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A training run and the datasets it learned from."""

    run: str
    student: str
    datasets: tuple[str, ...]


def held_datasets(connection: Reading, folder: Path) -> tuple[Held, ...]:
    """Every dataset that was sealed; a manifest counts only if it is the one committed to."""
    return tuple(_held(item.entry, folder) for item in datasets(connection))


def _held(entry: DatasetEntry, folder: Path) -> Held:
    path, problem = folder / entry.dataset / MANIFEST, ""
    try:
        with path.open("rb") as file:
            if file_digest(file, "sha256").hexdigest() != entry.manifest:
                problem = "its manifest is not the one on record"
    except OSError:
        problem = "its files are not here"
    return Held(
        dataset=entry.dataset,
        student=entry.student,
        root=entry.root,
        manifest=None if problem else path,
        problem=problem,
    )


def runs_on(connection: Reading, held: Iterable[Held]) -> tuple[Learned, ...]:
    """The training runs that learned from any of these datasets, oldest first."""
    names = {each.root: each.dataset for each in held}
    found = (
        Learned(
            run=item.entry.run,
            student=item.entry.student,
            datasets=tuple(names[root] for root in item.entry.datasets if root in names),
        )
        for item in runs(connection)
    )
    return tuple(each for each in found if each.datasets)


class Replay:
    """The snapshots of a ledger, as of an instant: iterate once."""

    def __init__(
        self,
        connection: Reading,
        held: Sequence[Held],
        *,
        today: datetime,
        since: datetime | None = None,
        after: int = -1,
    ) -> None:
        self.last = after
        """The place of the last exchange that was handed out; a later replay goes on behind it."""
        self._connection = connection
        self._held = held
        self._today = today
        self._since = "" if since is None else stamp(since)
        self._cleared: dict[str, frozenset[str]] = {}

    def __iter__(self) -> Iterator[Snapshot]:
        """All snapshots, in the order of the log; memory does not grow with their number.

        Raises:
            LedgerError: an entry or a manifest cannot be read.
        """
        with ExitStack() as files:
            manifests = [
                _Manifest(each, files.enter_context(each.manifest.open("rb")))
                for each in self._held
                if each.manifest is not None
            ]
            for one in ended(self._connection, since=self._since, after=self.last):
                self.last = one.seq
                holding = [each.held for each in manifests if each.holds(one.seq)]
                yield from self._snapshots(one, holding)

    def _snapshots(self, one: Ended, holding: Sequence[Held]) -> Iterator[Snapshot]:
        call = _leaf(one.call, one.seq)
        at, asked = parse_time(one.at), facts_of_leaf(call["facts"])
        cleared_by = call["cleared_by"]
        cleared = _NOTHING if cleared_by is None else self._clears(cleared_by)
        yield Snapshot(one.exchange, Gate.REQUEST, at, asked, cleared=cleared)
        if not one.is_complete:
            return
        end = _leaf(one.end, one.seq)
        ended_at = parse_time((end["decision"] or {}).get("today_at", end["at"]))
        answered = facts_of_leaf(end["facts"])
        said = [_leaf(leaf, one.seq) for leaf in one.said]
        facts, action, cleared = _said(facts_at_response(asked, answered), said)
        yield Snapshot(one.exchange, Gate.RESPONSE, at, facts, ended_at, cleared=cleared)
        if action in ("", "clear"):
            students: dict[str | None, list[str]] = {call["student"]: []}
            for each in holding:
                students.setdefault(each.student, []).append(each.dataset)
            for student, names in students.items():
                yield Snapshot(
                    one.exchange,
                    Gate.DATASET,
                    at,
                    facts,
                    self._today,
                    student,
                    cleared,
                    tuple(names),
                )

    def _clears(self, decision: str) -> frozenset[str]:
        """The rules that the clearance of a held call lifted; a judgement lifts none."""
        found = self._cleared.get(decision)
        if found is None:
            stored = entry_by_id(self._connection, decision)
            entry = None if stored is None else stored.entry
            found = frozenset(entry.clears) if isinstance(entry, DecisionEntry) else _NOTHING
            self._cleared[decision] = found
        return found


def _said(
    facts: Mapping[str, Fact], said: Iterable[Mapping[str, Any]]
) -> tuple[Mapping[str, Fact], str, frozenset[str]]:
    """Facts with what people supplied, what they said last of the answer, and what that lifts."""
    action, cleared = "", _NOTHING
    for leaf in said:
        if leaf["kind"] == "judgement":
            facts = facts_of_leaf(leaf["facts"]) | dict(facts)  # it fills gaps, replaces nothing
        elif leaf["gate"] != Gate.REQUEST.value:
            action = leaf["action"]
            cleared = frozenset(leaf["clears"]) if action == "clear" else _NOTHING
    return facts, action, cleared


def _leaf(leaf: bytes, seq: int) -> dict[str, Any]:
    """The fields of a leaf: the log was checked when it was written, and is checked by `verify`."""
    try:
        fields: dict[str, Any] = json.loads(leaf)
    except ValueError as error:
        raise LedgerError(
            f"what is on record of exchange {seq} cannot be read",
            help="run `inbond ledger verify`",
        ) from error
    return fields


class _Manifest:
    """The manifest of one dataset, read in step with the log: both are in the order of entries."""

    def __init__(self, held: Held, file: BinaryIO) -> None:
        self.held = held
        self._lines = self._rows(file)
        self._next = next(self._lines, None)

    def _rows(self, file: BinaryIO) -> Iterator[int]:
        """The places of the exchanges that gave rows."""
        for line in file:
            try:
                (row,) = read_manifest(line)
            except BundleError as error:
                raise LedgerError(
                    f"the manifest of dataset `{self.held.dataset}` cannot be read",
                    help="run `inbond audit verify` on the dataset",
                    where=str(self.held.manifest),
                ) from error
            if row.verdict == "permit" and not row.reason:
                yield row.seq

    def holds(self, seq: int) -> bool:
        """Whether the dataset holds the exchange at a place, which only ever grows."""
        while self._next is not None and self._next < seq:
            self._next = next(self._lines, None)
        return self._next == seq
