"""Snapshots of terms: kept by digest in the workspace, on record in the ledger, followed by clause.

The texts of terms are their owners'. They stay in the workspace's `terms/`, named by sha256; ledger
and package hold digests, dates and places alone. A change of a cited clause never changes a verdict:
it says which rules a person must read again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from policies.bundle import Bundle
from policies.clauses import Text
from policies.diagnostics import nearest
from policies.drift import Drift, Sighting, State, follow
from policies.model import Source
from proxy.clock import new_id, new_nonce, parse_time, stamp, utc_now
from proxy.errors import TermsError
from proxy.keyfile import replace_file
from proxy.ledger.entry import SnapshotEntry
from proxy.store.log import Log, Pending
from proxy.store.queries import entries
from proxy.store.session import Database
from proxy.texts import Version

__all__ = [
    "Change",
    "Cited",
    "Shelf",
    "Standing",
    "changes",
    "import_versions",
    "review",
    "snapshots",
    "source_named",
    "standings",
]

_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A clause that rules of one policy cite."""

    source: str
    """`policy/source`."""
    clause: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a cited clause stands, as seen from one vantage; `drift` is None without a snapshot."""

    cited: Cited
    vantage: str
    drift: Drift | None
    is_found: bool
    """Whether the text has a clause of this name; where not, the whole text is followed."""

    @property
    def state(self) -> str:
        """The state in one word; `unseen` without a snapshot."""
        return "unseen" if self.drift is None else self.drift.state.value

    @property
    def needs_review(self) -> bool:
        """Whether a person must read the clause again."""
        return self.drift is not None and self.drift.state is State.CONFIRMED


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A clause that reads differently in two texts; empty words: it is not there."""

    label: str
    before: str
    after: str
    rules: tuple[str, ...]
    """Rules that cite it, or a clause around or inside it."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder of a workspace where texts lie, each under its digest."""

    folder: Path

    def put(self, content: str) -> str:
        """Keep a text; gives its digest.

        Raises:
            TermsError: the folder cannot be written.
        """
        data = content.encode()
        digest = sha256(data).hexdigest()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path(digest), data, mode=0o600)
        except OSError as error:
            raise TermsError(
                f"the text cannot be kept: {(error.strerror or 'unknown reason').lower()}",
                where=str(self.folder),
                help="make the folder writable, and free some space",
            ) from error
        return digest

    def get(self, digest: str) -> Text:
        """The text of a digest.

        Raises:
            TermsError: it is not there, or is not what its digest says.
        """
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TermsError(
                "a text that the ledger names is not in the workspace",
                where=str(path),
                help="put the file back from a backup, or import the same text again",
            ) from error
        if sha256(data).hexdigest() != digest:
            raise TermsError(
                "a text is not the one that was imported",
                where=str(path),
                help="put the file back from a backup: its name is the sha256 of its bytes",
            )
        return Text(data.decode())

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.txt"


def source_named(bundle: Bundle, name: str) -> Source:
    """The source of a name such as `openai-api/services-agreement`.

    Raises:
        TermsError: no policy has it.
    """
    policy, _, id_ = name.partition("/")
    for each in bundle.policies:
        if each.id == policy and id_ in each.sources:
            return each.sources[id_]
    names = [f"{each.id}/{source}" for each in bundle.policies for source in each.sources]
    raise TermsError(
        f"no policy has a source `{name}`",
        help=nearest(name, names) or "name it `POLICY/SOURCE`; `inbond terms status` lists them",
        code="unknown-source",
    )


def snapshots(database: Database) -> tuple[SnapshotEntry, ...]:
    """Every snapshot and review on record, in the order of the log.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    found: list[SnapshotEntry] = []
    with database.read() as connection:
        after = -1
        while page := entries(connection, after=after, limit=_PAGE, kind="snapshot"):
            found += [one.entry for one in page if isinstance(one.entry, SnapshotEntry)]
            after = page[-1].seq
    return tuple(found)


def import_versions(
    log: Log,
    shelf: Shelf,
    source: str,
    versions: Iterable[Version],
    *,
    vantage: str,
    actor: str,
) -> int:
    """Keep texts and put them on record, all or none; how many of them are new there.

    Raises:
        TermsError: a text cannot be kept.
        LedgerError: the ledger cannot be written.
    """
    known = {
        (each.source, each.vantage, each.text, each.taken_at, each.until)
        for each in snapshots(log.database)
    }
    fresh = []
    for version in versions:
        entry = SnapshotEntry(
            id=new_id(),
            at=stamp(utc_now()),
            actor=actor,
            action="import",
            source=source,
            text=shelf.put(version.content),
            origin=version.origin,
            vantage=vantage,
            taken_at=stamp(version.taken_at),
            until=stamp(version.until),
            locator=version.locator,
            nonce=new_nonce(),
        )
        if (source, vantage, entry.text, entry.taken_at, entry.until) not in known:
            fresh.append(Pending(entry))
    if fresh:
        log.append(fresh)
    return len(fresh)


def review(log: Log, source: str, *, actor: str, reason: str) -> int:
    """Say that the newest text of a source was read; from how many vantages it was.

    Raises:
        TermsError: there is no snapshot of it.
        LedgerError: the ledger cannot be written.
    """
    newest = {
        each.vantage: each
        for each in sorted(snapshots(log.database), key=lambda one: one.taken_at)
        if each.source == source and each.action == "import"
    }
    if not newest:
        raise _unseen(source)
    now = stamp(utc_now())
    said = [
        each.model_copy(
            update={
                "id": new_id(),
                "at": now,
                "actor": actor,
                "action": "review",
                "taken_at": now,
                "until": now,
                "reason": reason,
                "nonce": new_nonce(),
            }
        )
        for each in newest.values()
    ]
    log.append([Pending(entry) for entry in said])
    return len(said)


def standings(bundle: Bundle, taken: Sequence[SnapshotEntry], shelf: Shelf) -> tuple[Standing, ...]:
    """Where every cited clause stands, by source, clause and vantage.

    Raises:
        TermsError: a text is missing or was changed.
    """
    series = _series(taken)
    texts: dict[str, Text] = {}
    for entry in taken:
        texts.setdefault(entry.text, shelf.get(entry.text))
    found = []
    for cited in _cited(bundle):
        seen = {at: one for (source, at), one in series.items() if source == cited.source}
        found += [_standing(cited, at, one, texts) for at, one in sorted(seen.items())]
        if not seen:
            found.append(Standing(cited=cited, vantage="", drift=None, is_found=False))
    return tuple(found)


def _series(taken: Iterable[SnapshotEntry]) -> dict[tuple[str, str], list[SnapshotEntry]]:
    series: dict[tuple[str, str], list[SnapshotEntry]] = {}
    for entry in taken:
        series.setdefault((entry.source, entry.vantage), []).append(entry)
    return series


def _cited(bundle: Bundle) -> Iterator[Cited]:
    rules: dict[tuple[str, str], list[str]] = {}
    for rule in bundle.rules:
        for cite in rule.cites:
            rules.setdefault((f"{rule.policy}/{cite.source}", cite.clause), []).append(rule.id)
    for (source, clause), ids in sorted(rules.items()):
        yield Cited(source=source, clause=clause, rules=tuple(dict.fromkeys(ids)))


def _standing(
    cited: Cited, vantage: str, taken: Sequence[SnapshotEntry], texts: Mapping[str, Text]
) -> Standing:
    is_found = any(texts[one.text].clause(cited.clause) is not None for one in taken)
    sightings = [
        Sighting(
            at=parse_time(one.taken_at),
            until=parse_time(one.until),
            digest=_digest(texts[one.text], cited.clause if is_found else None),
            is_review=one.action == "review",
        )
        for one in taken
    ]
    return Standing(cited=cited, vantage=vantage, drift=follow(sightings), is_found=is_found)


def _digest(text: Text, clause: str | None) -> str:
    """The digest of a clause, or of all words; empty where the text lost the clause."""
    if clause is None:
        return sha256(text.words.encode()).hexdigest()
    found = text.clause(clause)
    return "" if found is None else found.digest


def changes(
    bundle: Bundle, source: str, taken: Sequence[SnapshotEntry], shelf: Shelf, *, vantage: str = ""
) -> tuple[Change, ...]:
    """What the newest text of a source says differently from the one its rules rest on.

    That is the last one reviewed, else the first. Without a vantage the one seen last is meant.

    Raises:
        TermsError: there is no snapshot of it, or a text is missing.
    """
    ours = [one for one in taken if one.source == source and vantage in ("", one.vantage)]
    imported = sorted((one for one in ours if one.action == "import"), key=lambda o: o.taken_at)
    if not imported:
        raise _unseen(source)
    last = imported[-1]
    reviewed = [one for one in ours if one.action == "review" and one.vantage == last.vantage]
    first = next(one for one in imported if one.vantage == last.vantage)
    before = shelf.get(max(reviewed, key=lambda one: one.taken_at, default=first).text)
    after = shelf.get(last.text)
    cited = [each for each in _cited(bundle) if each.source == source]
    return tuple(
        Change(
            label=_shown(label),
            before=before.clauses.get(label, ""),
            after=after.clauses.get(label, ""),
            rules=tuple(
                sorted(
                    {
                        rule
                        for each in cited
                        if _touches(each, label, before, after)
                        for rule in each.rules
                    }
                )
            ),
        )
        for label in dict.fromkeys((*before.clauses, *after.clauses))
        if before.clauses.get(label, "") != after.clauses.get(label, "")
    )


def _touches(cited: Cited, label: tuple[str, ...], before: Text, after: Text) -> bool:
    for text in (before, after):
        clause = text.clause(cited.clause)
        if clause is None:
            continue
        depth = min(len(label), len(clause.label))
        if label == clause.label or (depth and label[:depth] == clause.label[:depth]):
            return True
    return False


def _shown(label: tuple[str, ...]) -> str:
    """A label as people cite it: `3.3(e)`; the text before the first label has none."""
    numbers = ".".join(part for part in label if part.isdigit())
    return numbers + "".join(f"({part})" for part in label if not part.isdigit())


def _unseen(source: str) -> TermsError:
    return TermsError(
        f"there is no snapshot of `{source}`",
        help=f"import one: `inbond terms import {source} --file FILE`",
        code="unseen",
    )
