"""Data that did not come through the proxy, on record with the same trail as answers that did.

An `import` entry says whose the data is, under which licence and on what evidence. Each line of the
file is then a call and its exchange, as a call of a client is, which name that entry: sealed,
encrypted, decided on at every gate, and erased, held, recalled and proven like any other. What they
say of a teacher is somebody's declaration, until a person vouches for it nothing of it is learned.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import batched
from pathlib import Path
from typing import Literal

from policies.bundle import Bundle
from policies.decision import Decision
from policies.diagnostics import nearest
from policies.model import Fact
from proxy.clock import new_id, new_nonce, stamp
from proxy.detect import Detectors
from proxy.errors import LedgerError
from proxy.import_lines import ImportLine, Surveyed, digest_of, read_lines, survey
from proxy.import_standing import bad_import, settle
from proxy.imported_calls import Imported, Maker, call_id
from proxy.ledger.entry import ImportEntry, SourceEntry
from proxy.ledger.imported import IMPORTED, NO_MODEL
from proxy.providers import Entry, model_id
from proxy.route import Registry
from proxy.sources import Declared, declare, last_words
from proxy.store.log import Document, Log, Pending
from proxy.store.queries import client_keys, exchange_with_call, imports

__all__ = [
    "Brought",
    "Importer",
    "Offer",
    "Origin",
    "Teacher",
    "origin_of",
    "teacher_named",
]

type Origin = Literal["own", "open", "licensed", "teacher"]

_ORIGINS: tuple[Origin, ...] = ("own", "open", "licensed", "teacher")
_PAGE = 200
"""Lines that are recorded together."""
_MAX_EVIDENCE_BYTES = 16 * 2**20
_MOST_PAPERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """Who is said to have answered, and when."""

    entry: Entry
    """The contract."""
    name: str
    """The model's name on the wire."""
    model: str
    """Its canonical id."""
    at: datetime
    """When the answers were given: the terms of that day count, and today's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What somebody wants imported, and all that is declared of it."""

    file: Path
    source: str
    origin: Origin
    licence: str
    evidence: Sequence[Path]
    project: str
    reason: str
    student: str | None = None
    """The declared student that is stamped; else the one that a key of the project stamps."""
    duties: Sequence[str] = ()
    """`KIND=VALUE` each, beside those of the licence."""
    teacher: Teacher | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """An import that is on record."""

    entry: ImportEntry
    recorded: int
    """Lines that this run put on record; the others were before."""
    verdicts: Mapping[str, int]
    """Of the response gate, over the lines recorded now; `refused` where the request gate forbids."""
    decision: Decision
    """Of the first line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Imports into one workspace."""

    log: Log
    bundle: Bundle
    detectors: Detectors
    organisation: Mapping[str, Fact]
    """What the organisation declares of itself."""
    actor: str
    at: datetime

    def bring(self, offer: Offer) -> Brought:
        """Put a file on record, line by line; what a crash left half done is completed.

        Raises:
            LedgerError: there is no evidence, a line cannot be read (then nothing is on record), the
                source or the student is not what is said, the file was imported before, or the
                ledger cannot be written.
        """
        papers = _papers(offer)
        found = survey(offer.file)
        student = self._student(offer)
        begun = self._begun(offer, found)
        if begun is not None:
            return self._record(offer, begun, is_fresh=False)
        source = self._source(offer)
        entry = self._admit(offer, found, source, student, papers)
        return self._record(offer, entry, is_fresh=True)

    def _student(self, offer: Offer) -> str:
        name = offer.student
        if name is None:
            with self.log.database.read() as connection:
                keys = [key for key in client_keys(connection) if key.project == offer.project]
            name = next((key.student for key in reversed(keys) if key.student), None)
        if name is None:
            raise LedgerError(
                f"no key of project `{offer.project}` stamps a student",
                help="name one with `--student`: its purpose is stamped on every line",
                code="unknown-student",
            )
        if name not in self.bundle.students:
            raise LedgerError(
                f"no student `{name}` is declared in `policies/students/`",
                help=nearest(name, self.bundle.students) or "declare it, then import again",
                code="unknown-student",
            )
        return name

    def _begun(self, offer: Offer, found: Surveyed) -> ImportEntry | None:
        """The import of the same file that was begun before; one that is complete is refused."""
        with self.log.database.read() as connection:
            for item in imports(connection):
                entry = item.entry
                same = (entry.digest, entry.name, entry.project)
                if same != (found.digest, offer.source, offer.project) or entry.action != "admit":
                    continue
                last = exchange_with_call(connection, call_id(entry.batch, entry.lines))
                if last is None:
                    return _refuse_other(entry, offer)
                raise LedgerError(
                    f"this file was imported before, as `{entry.batch}`",
                    help="see `inbond import list`",
                    where=str(offer.file),
                    code="imported-before",
                )
        return None

    def _source(self, offer: Offer) -> SourceEntry:
        """The source on record, declared unless it is."""
        for word in last_words(self.log):
            if word.source == offer.source:
                if word.action == "withdraw" or not word.may_train:
                    fix = "import it under another name, or declare it anew: `inbond source add`"
                    raise bad_import(f"the source `{word.source}` may not be learned from", fix)
                if word.licence != offer.licence:
                    fix = "say that licence, or use another name for this data"
                    raise bad_import(
                        f"the source `{word.source}` is on record under `{word.licence}`", fix
                    )
                lost = {duty.replace("=", ": ", 1) for duty in offer.duties} - set(word.duties)
                if lost:
                    raise bad_import(
                        f"the source `{word.source}` is on record without the duty `{min(lost)}`",
                        "declare it anew with every duty, `inbond source add`, or use another name",
                    )
                return word
        said = Declared(
            name=offer.source, licence=offer.licence, may_train=True, duties=offer.duties
        )
        return declare(self.log, said, actor=self.actor, reason=offer.reason)

    def _admit(
        self,
        offer: Offer,
        found: Surveyed,
        source: SourceEntry,
        student: str,
        papers: Sequence[Document],
    ) -> ImportEntry:
        batch, teacher = new_id(), offer.teacher
        entry = ImportEntry(
            id=batch,
            at=stamp(self.at),
            actor=self.actor,
            action="admit",
            batch=batch,
            source=source.id,
            name=offer.source,
            origin=offer.origin,
            licence=offer.licence,
            project=offer.project,
            student=student,
            evidence=sorted({paper.digest for paper in papers}),
            digest=found.digest,
            lines=found.lines,
            facts={**_declared(teacher)},
            answered_at=None if teacher is None else stamp(teacher.at),
            reason=offer.reason.strip(),
            nonce=new_nonce(),
        )
        self.log.append([Pending(entry, documents=tuple(papers))])
        return entry

    def _record(self, offer: Offer, entry: ImportEntry, *, is_fresh: bool) -> Brought:
        # What is on record counts: the import may have been begun by an earlier run.
        maker = Maker(bundle=self.bundle, entry=entry, organisation=self.organisation, at=self.at)
        verdicts: dict[str, int] = {}
        first: Decision | None = None
        asked = entry.facts.get("model.asked")
        name = asked if isinstance(asked, str) else None
        lines = batched(enumerate(read_lines(offer.file, model=name), 1), _PAGE)
        for whole in lines:
            page = whole if is_fresh else self._left(entry, whole)
            made = asyncio.run(_made(maker, self.detectors, page))
            self.log.append([pending for one in made for pending in one.pending])
            for one in made:
                verdicts[one.verdict] = verdicts.get(one.verdict, 0) + 1
                first = first or one.decision
        self._refuse_changed(offer.file, entry)
        assert first is not None  # noqa: S101 - an import that is complete was refused before
        return Brought(
            entry=entry, recorded=sum(verdicts.values()), verdicts=verdicts, decision=first
        )

    def _refuse_changed(self, file: Path, entry: ImportEntry) -> None:
        """Take back at once what is not of the file that the entry says."""
        if digest_of(file) == entry.digest:
            return
        why = "the file changed while it was read"
        settle(
            self.log,
            entry.batch,
            "withdraw",
            actor=self.actor,
            reason=f"{why}: found by inbond",
            at=self.at,
        )
        raise LedgerError(
            f"{why}, so that import `{entry.batch}` was withdrawn",
            help="import a copy to which nobody writes, as a source of another name",
            where=str(file),
            code="bad-import",
        )

    def _left(
        self, entry: ImportEntry, page: Iterable[tuple[int, ImportLine]]
    ) -> list[tuple[int, ImportLine]]:
        """The lines that are not on record yet, with their places."""
        with self.log.database.read() as connection:
            return [
                (place, line)
                for place, line in page
                if exchange_with_call(connection, call_id(entry.batch, place)) is None
            ]


async def _made(
    maker: Maker, detectors: Detectors, page: Iterable[tuple[int, ImportLine]]
) -> list[Imported]:
    made = []
    for place, line in page:
        asked = await detectors.in_request(line.data, line.exchange.request)
        said = await detectors.in_answer(line.exchange.answer)
        made.append(maker.make(place, line, asked=asked, said=said))
    return made


def teacher_named(registry: Registry, word: str, at: datetime) -> Teacher:
    """Who `CONTRACT:MODEL` is.

    Raises:
        LedgerError: the registry has no such contract, or knows no such model there.
    """
    name, colon, model = word.partition(":")
    entries = {entry.id: entry for entry in registry.entries}
    entry = entries.get(name)
    if not colon or entry is None:
        fix = nearest(name, entries) or f"write CONTRACT:MODEL; contracts: {', '.join(entries)}"
        raise bad_import(f"`{word}` names no contract of the registry", fix)
    if entry.router is not None:
        fix = "import the answers of each contract behind it in a file of its own"
        raise bad_import(f"`{name}` has others answer: the log does not say whose terms bind", fix)
    canonical = model_id(entry, model)
    if canonical is None:
        fix = nearest(model, entry.models) or "give the name that was asked for on the wire"
        raise bad_import(f"`{model}` is no model that the registry knows at `{name}`", fix)
    return Teacher(entry=entry, name=model, model=canonical, at=at)


def origin_of(word: str) -> Origin:
    """The origin that a word names.

    Raises:
        LedgerError: it names none.
    """
    for origin in _ORIGINS:
        if word == origin:
            return origin
    raise bad_import(f"`{word}` is no origin", f"say one of {', '.join(_ORIGINS)}")


def _papers(offer: Offer) -> tuple[Document, ...]:
    """The evidence, as it is stored beside the log."""
    if not offer.evidence:
        raise LedgerError(
            "an import without evidence is never permitted",
            help="give the text of the licence, the contract or the consent with `--evidence FILE`",
            code="no-evidence",
        )
    if len(offer.evidence) > _MOST_PAPERS:
        raise bad_import(f"more than {_MOST_PAPERS} papers", "put them into one archive")
    papers = []
    for path in offer.evidence:
        size = path.stat().st_size
        if not size or size > _MAX_EVIDENCE_BYTES:
            limit = _MAX_EVIDENCE_BYTES // 2**20
            raise LedgerError(
                "the evidence is empty" if not size else f"the evidence is larger than {limit} MiB",
                help="give the paper itself",
                where=str(path),
                code="bad-import",
            )
        content = path.read_bytes()
        papers.append(
            Document(digest=sha256(content).hexdigest(), kind="evidence", content=content)
        )
    if (offer.origin == "teacher") != (offer.teacher is not None):
        raise bad_import(
            "who answered is not said", "give `--teacher CONTRACT:MODEL` and `--answered`"
        )
    if not offer.reason.strip():
        raise bad_import("the reason is empty", "say in a sentence on what the import rests")
    return tuple({paper.digest: paper for paper in papers}.values())


def _declared(teacher: Teacher | None) -> dict[str, str]:
    """The facts that an import declares of who answered."""
    if teacher is None:
        return {"route": IMPORTED, "model.id": NO_MODEL}
    return {
        "route": teacher.entry.route,
        "model.asked": teacher.name,
        "model.id": teacher.model,
    }


def _refuse_other(entry: ImportEntry, offer: Offer) -> ImportEntry:
    """The entry, unless something else was declared of the file when its import was begun."""
    day = None if offer.teacher is None else stamp(offer.teacher.at)
    if (dict(entry.facts), entry.answered_at) != (_declared(offer.teacher), day):
        raise bad_import(
            f"import `{entry.batch}` of this file was begun with another teacher or day",
            "say the same to complete it, or withdraw it",
        )
    if (entry.licence, entry.origin) != (offer.licence, offer.origin):
        raise bad_import(
            f"import `{entry.batch}` of this file was begun under `{entry.licence}` as `{entry.origin}`",
            "say the same to complete it, or withdraw it",
        )
    return entry
