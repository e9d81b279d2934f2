"""Checkpoints anchored: shown to others, whose word is kept beside the log (design §6).

An outage is told, remembered and tried again, later and later; it stops nothing, unless the settings
require anchors. A checkpoint in other hands that this log signed and does not extend stops everything.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from proxy.anchor_http import Asker, Transport
from proxy.anchor_places import Authority, Folder, Head, Place, Witness
from proxy.clock import parse_time, stamp
from proxy.errors import ForkError, LedgerError, ProofError, SettingsError
from proxy.keyfile import replace_file
from proxy.ledger.checkpoint import Verifier
from proxy.ledger.cosignature import WitnessVerifier
from proxy.ledger.entry import CallEntry
from proxy.ledger.handover import follow
from proxy.ledger.merkle import consistency_proof, root_at
from proxy.settings import Settings
from proxy.store.anchors import Anchor, AnchorKind, anchored_size, handovers, keep_anchor
from proxy.store.queries import entries_at, head, last_checkpoint, node_reader
from proxy.store.session import Database, Reading

__all__ = ["AnchorState", "Anchors", "anchors_of", "overdue", "places_of", "states_of"]

_FILE = "anchors.json"
_FIRST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorState:
    """How it stands with one place that is told of checkpoints."""

    kind: AnchorKind
    name: str
    size: int
    """That it confirmed last; -1 before the first."""
    at: str | None = None
    """When."""
    problem: str | None = None
    """Why it confirmed nothing newer."""
    failures: int = 0
    """In a row."""
    next_at: str | None = None
    """When it is asked again, after a failure."""


_SAVED = TypeAdapter(list[AnchorState])


class Anchors:
    """Tells the places of one log of its checkpoints, and remembers who did not answer."""

    def __init__(
        self,
        places: Sequence[Place],
        database: Database,
        key: Verifier,
        *,
        run_directory: Path,
        every_s: float,
    ) -> None:
        self._places = places
        self._database = database
        self._key = key
        self._run = run_directory
        self._every_s = every_s

    def check(self) -> None:
        """Let only a database pass that extends what lies in the folders of anchors.

        A folder that cannot be read is passed over: it may be of another machine.

        Raises:
            ForkError: it does not; an older database was restored, or another grew.
            LedgerError: the ledger cannot be read.
        """
        with self._database.read() as connection:
            now = self._head(connection)
            if now is None:
                return
            for place in self._places:
                if isinstance(place, Folder):
                    try:
                        place.check(now)
                    except ForkError:
                        raise
                    except LedgerError:
                        continue

    def take(self, now: datetime, *, is_forced: bool = False) -> list[AnchorState]:
        """Tell every place of the newest checkpoint that does not know it; gives how each stands.

        One that failed before is asked again when its pause is over, or if `is_forced`.

        Raises:
            ForkError: a place holds a checkpoint that this log signed and does not extend.
            LedgerError: the ledger cannot be read or written.
        """
        before = {(state.kind, state.name): state for state in states_of(self._run)}
        states: list[AnchorState] = []
        for place in self._places:
            state = before.get((place.kind, place.name))
            states.append(self._told(place, state, now, is_forced=is_forced))
        self._save(states)
        return states

    def _told(
        self, place: Place, before: AnchorState | None, now: datetime, *, is_forced: bool
    ) -> AnchorState:
        with self._database.read() as connection:
            last = anchored_size(connection, place.kind, place.name)
            newest = self._head(connection)
        state = before or AnchorState(kind=place.kind, name=place.name, size=last)
        state = replace(state, size=last)
        if newest is None or newest.checkpoint.size <= last:
            return replace(state, problem=None, failures=0, next_at=None)
        if not is_forced and state.next_at is not None and now < parse_time(state.next_at):
            return state
        try:
            proof = place.confirm(newest, last)
        except ForkError:
            raise
        except LedgerError as error:
            return self._failed(state, error, now)
        size = newest.checkpoint.size
        keep_anchor(
            self._database, Anchor(size=size, kind=place.kind, name=place.name, proof=proof)
        )
        return AnchorState(kind=place.kind, name=place.name, size=size, at=stamp(now))

    def _failed(self, state: AnchorState, error: LedgerError, now: datetime) -> AnchorState:
        pause_s = min(self._every_s, _FIRST_PAUSE_S * 2.0 ** min(state.failures, 30))
        return replace(
            state,
            problem=error.message,
            failures=state.failures + 1,
            next_at=stamp(now + timedelta(seconds=pause_s)),
        )

    def _head(self, connection: Reading) -> Head | None:
        """The newest checkpoint; None before the first."""
        kept = last_checkpoint(connection)
        if kept is None:
            return None
        chain = follow(self._key, handovers(connection).values())
        return Head(
            checkpoint=chain.open_any(kept.note),
            note=kept.note,
            prove=lambda old: self._proof(old, kept.size),
            root_at=self._root_at,
            opens=chain.open_any,
        )

    def _proof(self, old: int, new: int) -> tuple[bytes, ...]:
        with self._database.read() as connection:
            return consistency_proof(old, new, node_reader(connection))

    def _root_at(self, size: int) -> bytes | None:
        with self._database.read() as connection:
            if head(connection).size < size:
                return None
            return root_at(size, node_reader(connection))

    def _save(self, states: Sequence[AnchorState]) -> None:
        self._run.mkdir(mode=0o700, exist_ok=True)
        text = json.dumps([asdict(state) for state in states])
        replace_file(self._run / _FILE, text.encode(), mode=0o600)


def states_of(run_directory: Path) -> list[AnchorState]:
    """How each place stood when it was told last; none where that cannot be read."""
    try:
        return _SAVED.validate_json((run_directory / _FILE).read_bytes())
    except (OSError, ValidationError):
        return []


def places_of(settings: Settings, *, transport: Transport | None = None) -> tuple[Place, ...]:
    """The places that the settings name.

    Raises:
        SettingsError: a witness's key or an authority's certificates cannot be read.
    """
    anchors = settings.anchors
    folders = (Folder(path=(settings.directory / path).resolve()) for path in anchors.files)
    return (
        *folders,
        *_authorities(settings, transport),
        *_witnesses(settings, transport),
    )


def _authorities(settings: Settings, transport: Transport | None) -> Iterator[Authority]:
    timeout_s = settings.anchors.timeout_s
    for number, each in enumerate(settings.anchors.timestamps):
        from proxy.ledger.timestamp import read_authorities  # noqa: PLC0415 - only who uses it pays

        where = f"anchors.timestamps[{number}].ca"
        try:
            certificates = read_authorities((settings.directory / each.ca).read_bytes())
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            message = f"the certificates in `{each.ca}` cannot be read: {reason}"
            fix = "give the path of a PEM file, from the workspace on"
            raise SettingsError(message, help=fix, where=where, code="unreadable") from error
        except ProofError as error:
            raise SettingsError(
                error.message, help=error.help, where=where, code="bad-value"
            ) from error
        asker = Asker(url=each.url, timeout_s=timeout_s, transport=transport)
        yield Authority(asker=asker, certificates=certificates)


def _witnesses(settings: Settings, transport: Transport | None) -> Iterator[Witness]:
    timeout_s = settings.anchors.timeout_s
    for number, each in enumerate(settings.anchors.witnesses):
        try:
            verifier = WitnessVerifier.from_text(each.key)
        except ProofError as error:
            where = f"anchors.witnesses[{number}].key"
            raise SettingsError(
                error.message, help=error.help, where=where, code="bad-value"
            ) from error
        asker = Asker(url=each.url, timeout_s=timeout_s, transport=transport)
        yield Witness(asker=asker, verifier=verifier)


def anchors_of(settings: Settings, database: Database, key: Verifier) -> Anchors:
    """What tells the places that the settings name of one log's checkpoints.

    Raises:
        SettingsError: a witness's key or an authority's certificates cannot be read.
    """
    return Anchors(
        places_of(settings),
        database,
        key,
        run_directory=settings.run_directory,
        every_s=settings.anchors.every_s,
    )


def overdue(
    connection: Reading, places: Sequence[tuple[AnchorKind, str]], now: datetime, within_s: float
) -> str | None:
    """Why calls may not be made where anchors are required; None while all is in time.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    for kind, name in places:
        size = max(anchored_size(connection, kind, name), 0)
        first = [
            item.entry
            for item in entries_at(connection, [size, size + 1])
            # An imported call says when it was answered; the exchange after it, when it was recorded.
            if not (isinstance(item.entry, CallEntry) and item.entry.imported)
        ]
        if first and now - parse_time(first[0].at) > timedelta(seconds=within_s):
            return f"`{name}` has confirmed nothing since entry {size}"
    return None
