"""Release a student: decide with today's policies, write what its duties need, sign, put on record.

Whatever can be refused is refused before the entry. If the machine stops between the entry and the
last file, the ledger holds a `release` whose folder nobody has: nothing was handed on, and the next
release makes another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from policies.bundle import Bundle
from policies.model import Fact
from proxy.audit.evidence import Evidence
from proxy.audit.formats.material import Material
from proxy.audit.holding import LedgerHolding
from proxy.audit.operators import operators
from proxy.clock import new_id, new_nonce, stamp
from proxy.errors import LedgerError
from proxy.ledger.bundle import EXPORT_KEY, LedgerEntry, read_bundle
from proxy.ledger.checkpoint import Verifier
from proxy.ledger.entry import KeyEntry, ReleaseEntry
from proxy.ledger.example import rows_root
from proxy.ledger.leaf import Leaf, read_leaf
from proxy.ledger.notice import notice_bytes
from proxy.ledger.release import RELEASE, files_digest
from proxy.notary import Notary, append_if, refuse_later
from proxy.release_card import Described, release_bom, release_card
from proxy.release_duties import (
    CARD,
    Offer,
    Settled,
    State,
    licence_paper,
    own_licence_text,
    settle,
)
from proxy.release_files import ReleaseWriter
from proxy.release_gate import Occasion, Prospect, decide_release
from proxy.release_obstacles import Made, Obstacle
from proxy.release_papers import release_texts
from proxy.selection import every_entry, tile_reader_of
from proxy.store.log import Pending, leaf_of
from proxy.store.queries import head
from proxy.store.session import Reading

__all__ = ["Outlook", "Released", "Releaser"]

_MOVING = ("decision", "erase", "grant", "import", "judgement", "policy", "source", "status")
"""Kinds of entries that make what was decided void."""
_MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How a release stands: what the policies say, where each duty stands, who let what pass."""

    prospect: Prospect
    settled: tuple[Settled, ...]
    offer: Offer
    approval: ReleaseEntry | None
    size: int
    """Of the log that was decided on."""

    @property
    def needs_approval(self) -> bool:
        """Whether nothing but a person's word is wanted."""
        return bool(self.prospect.reviews) and not self._others()

    def against(self) -> list[Obstacle]:
        """All that stands against the release; nothing where it may be carried out."""
        reviews = self.prospect.reviews
        return [*self._others(), *([_unapproved(self.prospect)] if reviews else [])]

    def _others(self) -> list[Obstacle]:
        open_duties = [
            Obstacle(code=f"duty-{each.state}", what=f"`{each.owed.duty}`", fix=each.fix)
            for each in self.settled
            if each.state is not State.MET
        ]
        return [*self.prospect.obstacles, *open_duties, *_of_licence(self)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A release on disk and on record."""

    entry: ReleaseEntry
    path: Path
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Releaser:
    """Decides on releases of one installation, and carries them out."""

    notary: Notary
    bundle: Bundle
    """The policies in force."""
    datasets: Path
    """Where the bundles of datasets lie."""
    declared: Mapping[str, Fact]
    """What the organisation declares of itself."""
    at: datetime
    actor: str

    def look(self, runs: Sequence[Made], offer: Offer) -> Outlook:
        """How the release of a run stands; its ancestors follow it. Nothing is changed.

        Raises:
            LedgerError: the student is not declared, or the ledger cannot be read.
        """
        with self.notary.log.database.read() as connection:
            size = head(connection).size
            approval = self._approval(connection, runs[0].entry.run, offer)
            occasion = Occasion(
                at=self.at,
                declared=self.declared,
                cleared=frozenset(approval.clears if approval else ()),
            )
            prospect = decide_release(connection, self.bundle, tuple(runs), self.datasets, occasion)
        return Outlook(
            prospect=prospect,
            settled=settle(prospect.owed, offer),
            offer=offer,
            approval=approval,
            size=size,
        )

    def approve(self, outlook: Outlook, reason: str) -> ReleaseEntry:
        """Let what the organisation reviews pass for this run, on record.

        Raises:
            LedgerError: nothing waits for a person, something else stands against it, or the ledger
                cannot be written.
        """
        prospect = outlook.prospect
        if not reason.strip():
            raise LedgerError("the reason is empty", help="say in a sentence why", code="no-reason")
        if not outlook.needs_approval:
            waits = ", ".join(f"`{rule}`" for rule in prospect.reviews)
            others = "; ".join(each.what for each in outlook.against()) if waits else ""
            raise LedgerError(
                f"an approval would not be enough: {others}"
                if waits
                else "nothing in this release waits for a person",
                help="see `inbond student release … --dry-run` for all that stands against it",
                code="not-approvable",
            )
        entry = self._entry(outlook, "approve", reason=reason.strip()).model_copy(
            update={
                "clears": list(prospect.reviews),
                "is_self_approved": prospect.run.actor == self.actor,
            }
        )
        self._append(entry, outlook)
        return entry

    def release(self, outlook: Outlook, target: Path) -> Released:
        """Write the folder of a release and put it on record.

        Raises:
            LedgerError: something stands against it, somebody decided something meanwhile, or the
                ledger cannot be written.
            BundleError: a file of the run is not the one on record, or the folder cannot be written.
        """
        against = outlook.against()
        if against:
            raise LedgerError(
                f"the student is not released: {against[0].what}",
                help=against[0].fix,
                code=against[0].code,
            )
        approval = outlook.approval
        draft = self._entry(outlook, "release", reason="").model_copy(
            update={
                "clears": list(approval.clears) if approval else [],
                "approval": approval.id if approval else None,
                "is_self_approved": approval is not None and approval.actor == self.actor,
            }
        )
        with ReleaseWriter(target) as writer:
            self._write(writer, outlook, draft)
            files = writer.digests
            entry = draft.model_copy(
                update={"met_by": _met_by(outlook, files), "files": files_digest(files)}
            )
            seq = self._append(entry, outlook)
            note = self.notary.sign()
            notice = self._notice(LedgerEntry(seq, leaf_of(entry)), note, files)
            writer.seal(entry.name or entry.student, notice, self.notary.export_key)
        return Released(entry=entry, path=target, files=files)

    def _approval(self, connection: Reading, run: str, offer: Offer) -> ReleaseEntry | None:
        """What somebody let pass last for this run, as it is offered and under these policies.

        Who looked at an internal student said nothing of one that goes to others: the declaration is
        among the policies.
        """
        wanted = (run, offer.name, offer.licence, self.bundle.digest)
        found = [
            entry
            for entry in (item.entry for item in every_entry(connection, "release"))
            if isinstance(entry, ReleaseEntry)
            and entry.action == "approve"
            and (entry.run, entry.name, entry.licence, entry.decision.bundle) == wanted
        ]
        return found[-1] if found else None

    def _entry(self, outlook: Outlook, action: str, *, reason: str) -> ReleaseEntry:
        prospect, id_ = outlook.prospect, new_id()
        return ReleaseEntry.model_validate(
            {
                "id": id_,
                "at": stamp(self.at),
                "actor": self.actor,
                "action": action,
                "release": id_,
                "student": prospect.student.id,
                "run": prospect.run.run,
                "ancestors": [made.entry.run for made in prospect.runs[1:]],
                "datasets": [entry.root for entry in prospect.datasets],
                "name": outlook.offer.name,
                "licence": outlook.offer.licence,
                "decision": prospect.record,
                "reason": reason,
                "nonce": new_nonce(),
            }
        )

    def _append(self, entry: ReleaseEntry, outlook: Outlook) -> int:
        (seq,) = append_if(
            self.notary.log,
            [Pending(entry)],
            lambda now: refuse_later(now, _MOVING, size=outlook.size),
        )
        return seq

    def _write(self, writer: ReleaseWriter, outlook: Outlook, entry: ReleaseEntry) -> None:
        """Weights, texts, card and bill of materials."""
        prospect, offer = outlook.prospect, outlook.offer
        for name, digest in sorted(prospect.run.weights.items()):
            writer.copy(name, prospect.runs[0].folder / _MODEL / name, digest)
        for name, data in release_texts(prospect, outlook.settled, offer).items():
            writer.add(name, data)
        with self.notary.log.database.read() as connection:
            evidence = self._evidence(connection, prospect)
        origin = Verifier.from_text(self.notary.log_key).name
        about = {"subject": entry.release, "at": entry.at, "origin": origin}
        material = Material(evidence=evidence, about=about, digests={})
        described = Described(
            name=offer.name or prospect.student.id,
            licence=offer.licence,
            bases=prospect.bases,
            run=next(leaf for leaf in material.runs if leaf.text("run") == prospect.run.run),
            settled=outlook.settled,
        )
        writer.add(CARD, release_card(material, described))
        writer.add(EXPORT_KEY, self.notary.export_key.public_pem.encode())
        writer.add("bom/cyclonedx.json", release_bom(material, described))

    def _evidence(self, connection: Reading, prospect: Prospect) -> Evidence:
        """What card and bill of materials are made from: of this release alone."""
        holding = LedgerHolding(connection, self.notary.log.database, self.datasets)
        evidence = Evidence(holding=holding, providers=operators())
        ids = {made.entry.id for made in prospect.runs} | {e.id for e in prospect.datasets}
        names = {entry.dataset for entry in prospect.datasets}
        for leaf in _leaves(connection, "run", "dataset", "status", "grant"):
            is_ours = leaf.id in ids or leaf.kind == "grant"
            if is_ours or (leaf.kind == "status" and leaf.text("dataset") in names):
                evidence.take(leaf)
        for entry in prospect.datasets:
            path = self.datasets / entry.dataset
            if not path.is_dir():
                continue
            with read_bundle(path) as bundle:
                rows = [row.to_row() for row in bundle.examples()]
            if rows_root(rows) != entry.root:
                raise LedgerError(
                    f"the dataset `{entry.dataset}` in the workspace is not the one on record",
                    help="put the bundle back as it was sealed, or move it away",
                    where=str(path),
                    code="dataset-changed",
                )
            for row in rows:
                evidence.learn({"dataset": entry.dataset, "approved_by": [], **row})
        return evidence.close()

    def _notice(self, last: LedgerEntry, note: str, files: Mapping[str, str]) -> bytes:
        release = read_leaf(last.seq, last.leaf)
        pem = self.notary.export_key.public_pem.strip()
        with self.notary.log.database.read() as connection:
            keys = [
                item
                for item in every_entry(connection, "key")
                if isinstance(item.entry, KeyEntry)
                and (item.entry.role, item.entry.action) == ("export", "create")
                and (item.entry.public or "").strip() == pem
            ]
            runs = [
                item
                for item in every_entry(connection, "run")
                if item.entry.kind == "run" and item.entry.run == release.text("run")
            ]
        if not keys or not runs:
            raise LedgerError(
                "no `key` entry says that the export key is the log's",
                help="run `inbond ledger verify`",
                code="export-key",
            )
        entries = [LedgerEntry(each.seq, each.leaf) for each in (keys[-1], runs[-1])]
        return notice_bytes(
            RELEASE,
            [*entries, last],
            checkpoint=note,
            read=tile_reader_of(self.notary.log.database),
            about={"files": dict(files)},
        )


def _leaves(connection: Reading, *kinds: str) -> list[Leaf]:
    found = [item for kind in kinds for item in every_entry(connection, kind)]
    return [read_leaf(item.seq, item.leaf) for item in sorted(found, key=lambda each: each.seq)]


def _met_by(outlook: Outlook, files: Mapping[str, str]) -> list[str]:
    """What meets each duty, in the order in which the decision names them."""
    digests = [files.get(each.by) or each.digest for each in outlook.settled]
    return [
        f"{each.by} sha256:{digest}" if digest else each.by
        for each, digest in zip(outlook.settled, digests, strict=True)
    ]


def _unapproved(prospect: Prospect) -> Obstacle:
    rules = ", ".join(f"`{rule}`" for rule in prospect.reviews)
    return Obstacle(
        code="needs-approval",
        what=f"the organisation asks for a person's word: {rules}",
        fix=f"let somebody else look at it and run `inbond student approve {prospect.run.run} "
        "--reason …`",
    )


def _of_licence(outlook: Outlook) -> list[Obstacle]:
    """What is wanting of the student's own licence, where others get the weights."""
    prospect, offer = outlook.prospect, outlook.offer
    release = prospect.student.facts.get("student.release")
    file = f"policies/students/{prospect.student.id}.yaml"
    if release is None:
        return [
            Obstacle(
                code="release-unknown",
                what="nobody declares who gets the student",
                fix=f"say `release:` in `{file}`",
            )
        ]
    if release != "open-weights":
        return []
    if offer.licence is None:
        return [
            Obstacle(
                code="no-licence",
                what="others get the weights, and no licence is named",
                fix="say `--licence` with an SPDX identifier or a `LicenseRef-…`",
            )
        ]
    if own_licence_text(outlook.settled, offer) is None:
        return [
            Obstacle(
                code="licence-text",
                what=f"the text of the student's own licence `{offer.licence}` is not at hand",
                fix=f"put it into `papers/{licence_paper(offer.licence)}`",
            )
        ]
    return []
