"""Imported data on record: what prompts are made of, under which licence, and what may be learned.

A declaration is somebody's word, recorded as such. A later one of the same name replaces it for what
is asked from then on; what was asked before must be allowed by both.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from policies.diagnostics import nearest
from policies.shapes import DUTIES
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError
from proxy.ledger.entry import SourceEntry
from proxy.store.log import Log, Pending
from proxy.store.queries import sources

__all__ = ["Declared", "declare", "last_words", "withdraw"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,79}")
_LINE = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What somebody says of imported data."""

    name: str
    licence: str
    may_train: bool
    duties: Iterable[str] = ()
    """`KIND=VALUE` each."""
    digest: str | None = None
    """sha256 of its file, in hex."""


def declare(log: Log, said: Declared, *, actor: str, reason: str) -> SourceEntry:
    """Put imported data on record.

    Raises:
        LedgerError: a word cannot be recorded, or the ledger cannot be written.
    """
    if not _NAME.fullmatch(said.name):
        fix = "use letters, digits, `.`, `_` and `-`"
        raise _wrong(f"`{said.name}` is no name for a source", fix)
    if not _LICENCE.fullmatch(said.licence):
        fix = "write an SPDX identifier such as `CC-BY-4.0`, or `LicenseRef-…`"
        raise _wrong(f"`{said.licence}` is no licence", fix)
    entry = SourceEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor=actor,
        action="declare",
        source=said.name,
        licence=said.licence,
        may_train=said.may_train,
        duties=sorted({_duty(text) for text in said.duties}),
        digest=said.digest,
        reason=_reason(reason),
        nonce=new_nonce(),
    )
    log.append([Pending(entry)])
    return entry


def withdraw(log: Log, name: str, *, actor: str, reason: str) -> SourceEntry:
    """Put on record that nobody may learn any more from answers to a source.

    Raises:
        LedgerError: there is no such source, or the ledger cannot be written.
    """
    known = {entry.source: entry for entry in last_words(log)}
    last = known.get(name)
    if last is None:
        fix = nearest(name, known) or "see `inbond source list`"
        raise LedgerError(f"no source `{name}` is on record", help=fix, code="unknown-source")
    said = {
        "id": new_id(),
        "at": stamp(utc_now()),
        "actor": actor,
        "action": "withdraw",
        "may_train": False,
        "reason": _reason(reason),
        "nonce": new_nonce(),
    }
    entry = last.model_copy(update=said)
    log.append([Pending(entry)])
    return entry


def last_words(log: Log) -> list[SourceEntry]:
    """The last word on each source, by name.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with log.database.read() as connection:
        last = {item.entry.source: item.entry for item in sources(connection)}
    return [last[name] for name in sorted(last)]


def _duty(text: str) -> str:
    kind, equals, value = text.partition("=")
    if kind not in DUTIES:
        fix = nearest(kind, DUTIES) or f"the duties are {', '.join(DUTIES)}"
        raise _wrong(f"`{kind}` is no duty", fix)
    if not equals or not _LINE.fullmatch(value):
        raise _wrong(f"the duty `{kind}` says nothing", "write `--duty KIND=VALUE`")
    return f"{kind}: {value}"


def _reason(reason: str) -> str:
    if not reason.strip():
        raise _wrong("the reason is empty", "say in a sentence why")
    return reason.strip()


def _wrong(message: str, fix: str) -> LedgerError:
    return LedgerError(message, help=fix, code="bad-source")
