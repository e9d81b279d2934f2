"""One genuine audit and dataset, made by the commands that users type, for strangers to check."""

from dataclasses import dataclass, replace
from pathlib import Path

import time_machine

from proxy.cli.openledger import open_ledger
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.keys import load_keys
from proxy.ledger.checkpoint import Checkpoint, sign_checkpoint
from proxy.ledger.entry import AdminEntry, DatasetEntry
from proxy.store.log import Pending
from student import digest
from student.record import Record
from tests.proxy.stamping import stamping, stamping_authority
from tests.proxy.workshop import NOW, Asked, Said, Workshop
from tests.student.records import HEADER

__all__ = ["Genuine", "genuine"]

_CALLS = 6
_SIGN_INS = 120
"""Entries of people at the console: the log outgrows one tile, so that proofs climb a level."""
_GRANT = """\
inbond: 1
grant: letter
party: OpenAI
lifts: [openai-api/no-competing-models, openai-api/unclear-whether-competing]
permits: [training]
scope: {project: rival}
in_force: {from: 2026-03-01, until: 2026-12-01}
document: {title: Letter of permission}
owner: legal@example.org
because: OpenAI permits one student of ours.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Genuine:
    """Bundles, and what their reader holds from elsewhere. Not to be written to."""

    audit: Path
    """Of the whole log, with bodies: two datasets, a grant, a run."""
    dataset: Path
    key: str
    """The log key that the reader pinned."""
    kept: str
    """A checkpoint from before the bundles were made, as the reader kept it."""
    foreign: str
    """A checkpoint of another history, signed with the same key."""
    authority: bytes
    """The certificates of the time-stamping authority that the reader trusts."""


def genuine(folder: Path) -> Genuine:
    """The bundles in `folder`, made on the day of `NOW`."""
    with time_machine.travel(NOW, tick=True):
        shop = Workshop.at(folder / "work")
        _ask(shop)
        kept = shop.inbond("ledger", "checkpoint").stdout
        authority = _stamp(shop, folder / "authority.pem")
        built = shop.record("dataset", "build", "--student", "gardener")
        shop.record("dataset", "build", "--student", "rival", "--from-project", "rival")
        _learn(shop, folder / "run")
        shop.record("audit", "export", folder / "audit", "--recipient", "a stranger", "--zip")
        return Genuine(
            audit=folder / "audit",
            dataset=shop.settings.datasets_directory / str(built["dataset"]),
            key=shop.key,
            kept=kept,
            foreign=_foreign(shop),
            authority=authority,
        )


def _ask(shop: Workshop) -> None:
    letter = shop.directory / "policies/grants/letter.yaml"
    letter.write_text(_GRANT)
    shop.approve(shop.declare("rival", competes="[OpenAI]", purpose="classifier"))
    shop.approve(letter)
    garden = (Asked(said=(Said(text=f"Shade {number}."),)) for number in range(_CALLS))
    rival = Asked(host="api.openai.com", model="gpt-5.1", student="rival", project="rival")
    shop.ask(*garden, rival, Asked(said=(Said(text="unseen", finish="length"),)))
    with open_ledger(shop.settings) as ledger:
        ledger.log.append([Pending(_signed_in()) for _ in range(_SIGN_INS)])


def _signed_in() -> AdminEntry:
    return AdminEntry(
        id=new_id(), at=stamp(utc_now()), actor="user:1", action="sign-in", nonce=new_nonce()
    )


def _stamp(shop: Workshop, certificates: Path) -> bytes:
    """Have the log's head dated by OpenSSL's own time-stamping authority."""
    authority = stamping_authority()
    certificates.write_bytes(authority.ca)
    with stamping(authority) as url, (shop.directory / "inbond.yaml").open("a") as file:
        file.write(f"anchors: {{timestamps: [{{url: '{url}', ca: '{certificates}'}}]}}\n")
        file.flush()
        shop.record("anchor", "take")
    return authority.ca


def _learn(shop: Workshop, folder: Path) -> None:
    """A finished run on the datasets, put on record; what its weights are matters to nobody here."""
    sealed = [entry for entry in shop.entries() if isinstance(entry, DatasetEntry)]
    references = tuple(
        replace(HEADER.datasets[0], root=entry.root, dataset=entry.dataset) for entry in sealed
    )
    record = Record.start(folder, replace(HEADER, datasets=references), bytes(32))
    record.add("step", step=1, loss=1.5)
    (folder / "model").mkdir()
    (folder / "model/model.safetensors").write_bytes(b"weights")
    weights = {"model.safetensors": digest.of_bytes(b"weights")}
    record.add("finished", step=1, weights=weights)
    record.sign()
    shop.record("student", "record", folder)


def _foreign(shop: Workshop) -> str:
    key = load_keys(shop.settings.keys_directory).log
    other = Checkpoint(origin=shop.settings.origin, size=100, root=bytes(32))
    return sign_checkpoint(other, key)
