"""What a bundle holds of others' word on its log: `log/anchors/` and `log/handovers/`, offline.

log/anchors/SIZE.checkpoint   the note of an older checkpoint, as the log signed it
log/anchors/SIZE.cosigned     the same note with the lines of witnesses under it
log/anchors/SIZE.NAME.tsr     a time-stamp (RFC 3161) over `SIZE.checkpoint`
log/handovers/SIZE.note       how the log's key was replaced
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from proxy.errors import BundleError, LedgerError, ProofError
from proxy.ledger.checkpoint import Checkpoint, Verifier
from proxy.ledger.cosignature import Cosignature, WitnessVerifier, find_cosignature
from proxy.ledger.handover import Handover, KeyChain, follow, read_handover
from proxy.ledger.merkle import NodeReader, root_at
from proxy.ledger.note import read_note
from proxy.ledger.report import Report

if TYPE_CHECKING:
    from proxy.ledger.timestamp import Authorities

__all__ = [
    "NOBODY",
    "Trusted",
    "chain_of",
    "check_anchors",
    "check_cosigned",
    "check_handovers",
    "trusted_of",
]

_ANCHOR = re.compile(r"log/anchors/(\d{1,19})\.(?:(checkpoint)|(cosigned)|([a-z0-9.-]+)\.tsr)")
_HANDOVER = re.compile(r"log/handovers/\d{1,19}\.note")


class Files(Protocol):
    """A bundle that is open for reading."""

    @property
    def names(self) -> Collection[str]:
        """The paths of all files."""

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            BundleError: there is no such file, or it cannot be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Whose word a reader takes beside the log's own."""

    witnesses: tuple[WitnessVerifier, ...] = ()
    authorities: "Authorities" = ()
    """The certificates of time-stamping authorities."""


NOBODY = Trusted()
"""The log's key alone is trusted."""


@dataclass(slots=True)
class _Anchored:
    """The files about one older checkpoint."""

    size: int
    checkpoint: str = ""
    """The path of the plain note."""
    cosigned: str = ""
    stamps: list[str] = field(default_factory=list)


def trusted_of(witnesses: Sequence[str], authorities: bytes) -> Trusted:
    """Whose word is taken, from the texts of witnesses' keys and a PEM of certificates, maybe empty.

    Raises:
        ProofError: a text is no witness's key, the PEM holds no root, or what reads time-stamps is
            not installed.
    """
    keys = tuple(map(WitnessVerifier.from_text, witnesses))
    if not authorities:
        return Trusted(witnesses=keys)
    try:
        from proxy.ledger.timestamp import read_authorities  # noqa: PLC0415 - a reader may lack it
    except ImportError as error:
        raise ProofError(
            "time-stamps cannot be checked here: `rfc3161-client` is not installed",
            help="install it, or check them with `openssl ts -verify`",
            code="missing-module",
        ) from error
    return Trusted(witnesses=keys, authorities=read_authorities(authorities))


def chain_of(bundle: Files, pinned: Verifier, report: Report) -> KeyChain:
    """The keys that a reader of the pinned key trusts, by the handovers in the bundle."""
    found: list[Handover] = []
    for name in sorted(filter(_HANDOVER.fullmatch, bundle.names)):
        try:
            found.append(read_handover(bundle.read(name).decode(errors="replace")))
        except (ProofError, BundleError) as error:
            report.note(error, where=name)
    return follow(pinned, found)


def check_handovers(chain: KeyChain, note: str, read: NodeReader, report: Report) -> None:
    """Note what replaced the pinned key, if another one of the chain signed the checkpoint."""
    for step in () if chain.has_pinned(note) else chain.later:
        where = f"log/handovers/{step.checkpoint.size}.note"
        if _stands(step.checkpoint, read, where, report):
            report.proven.append(
                f"key `{_short(step.old)}` handed the log over to `{_short(step.new)}` after size"
                f" {step.checkpoint.size}: both signed that; pin the new one from now on"
            )


def check_anchors(
    bundle: Files,
    chain: KeyChain,
    checkpoint: Checkpoint,
    read: NodeReader,
    trusted: Trusted,
    report: Report,
) -> int:
    """Note what witnesses and authorities say; gives the largest size that a trusted witness saw."""
    seen: dict[WitnessVerifier, tuple[int, Cosignature]] = {}
    strangers: set[str] = set()
    unread = 0
    for each in _anchored(bundle):
        head = _head_of(bundle, each, chain, checkpoint, read, report)
        if head is None:
            continue
        if each.cosigned:
            found = _cosigned(bundle, each, trusted, report)
            seen |= {witness: (each.size, said) for witness, said in found.items()}
            strangers |= _others(bundle, each, chain, trusted)
        if trusted.authorities:
            _check_stamps(bundle, each, trusted, report)
        else:
            unread += len(each.stamps)
    _tell_witnesses(trusted, seen, report)
    if unread:
        report.not_covered.append(
            f"{unread} time-stamps: give the certificates of their authority to check them"
        )
    if strangers:
        names = ", ".join(f"`{name}`" for name in sorted(strangers))
        report.not_covered.append(f"cosignatures of witnesses whose key was not given: {names}")
    return max((size for size, _ in seen.values()), default=0)


def check_cosigned(note: str, trusted: Trusted, report: Report) -> None:
    """Note which trusted witnesses signed the checkpoint that ends a text, such as a receipt's."""
    if not trusted.witnesses:
        return
    seen: dict[WitnessVerifier, tuple[int, Cosignature]] = {}
    note = note.partition("\n\n")[2]
    try:
        size = Checkpoint.from_text(read_note(note).text).size
        for witness in trusted.witnesses:
            said = find_cosignature(note, witness)
            if said is not None:
                seen[witness] = (size, said)
    except ProofError as error:
        report.note(error, where="receipt", is_false=error.code == "cosignature")
        return
    _tell_witnesses(trusted, seen, report)


def _anchored(bundle: Files) -> list[_Anchored]:
    """What is anchored, the smallest size first."""
    found: dict[int, _Anchored] = {}
    for name in sorted(bundle.names):
        match = _ANCHOR.fullmatch(name)
        if match is None:
            continue
        size = int(match[1])
        each = found.setdefault(size, _Anchored(size))
        if match[2]:
            each.checkpoint = name
        elif match[3]:
            each.cosigned = name
        else:
            each.stamps.append(name)
    return [found[size] for size in sorted(found)]


def _head_of(
    bundle: Files,
    each: _Anchored,
    chain: KeyChain,
    checkpoint: Checkpoint,
    read: NodeReader,
    report: Report,
) -> Checkpoint | None:
    """The older checkpoint, if it is the log's and the bundle's tree extends it."""
    where = each.checkpoint or each.cosigned or each.stamps[0]
    try:
        names = [name for name in (each.checkpoint, each.cosigned) if name]
        heads = {chain.open_any(_text(bundle, name)) for name in names}
    except (ProofError, BundleError) as error:
        report.note(error, where=where)
        return None
    head = heads.pop() if len(heads) == 1 else None
    if head is None or head.size != each.size or head.size > checkpoint.size:
        report.refute("anchor", where, "the files are not of one checkpoint of this size")
        return None
    if each.stamps and not each.checkpoint:
        report.refute("anchor", where, "the checkpoint that is stamped is not here")
        return None
    return head if _stands(head, read, where, report) else None


def _stands(head: Checkpoint, read: NodeReader, where: str, report: Report) -> bool:
    """Whether the bundle's tree extends a checkpoint; what is wrong is noted."""
    try:
        is_same = root_at(head.size, read) == head.root
    except LedgerError as error:
        report.note(error, where=where, is_false=False)
        return False
    if not is_same:
        report.refute("rewritten", where, f"the log does not extend its checkpoint at {head.size}")
    return is_same


def _cosigned(
    bundle: Files, each: _Anchored, trusted: Trusted, report: Report
) -> Mapping[WitnessVerifier, Cosignature]:
    note = _text(bundle, each.cosigned)
    found: dict[WitnessVerifier, Cosignature] = {}
    for witness in trusted.witnesses:
        try:
            said = find_cosignature(note, witness)
        except ProofError as error:
            report.note(error, where=each.cosigned)
            continue
        if said is not None:
            found[witness] = said
    return found


def _others(bundle: Files, each: _Anchored, chain: KeyChain, trusted: Trusted) -> set[str]:
    """The names of witnesses who signed and whose keys were not given."""
    known = {(key.name, key.key_id) for key in trusted.witnesses}
    signatures = read_note(_text(bundle, each.cosigned)).signatures
    return {
        each.name
        for each in signatures
        if (each.name, each.key_id) not in known and each.name != chain.pinned.name
    }


def _tell_witnesses(
    trusted: Trusted,
    seen: Mapping[WitnessVerifier, tuple[int, Cosignature]],
    report: Report,
) -> None:
    at = defaultdict[int, list[str]](list)
    for witness in trusted.witnesses:
        if witness not in seen:
            where = f"--witness {witness.name}"
            report.doubt("not-witnessed", where, f"witness `{witness.name}` signed nothing here")
            continue
        size, said = seen[witness]
        at[size].append(f"`{witness.name}` at {said.at.isoformat()}")
    for size, witnesses in sorted(at.items()):
        report.proven.append(
            f"trusted witnesses saw this log at size {size}, and that it only grew until then: "
            + ", ".join(witnesses)
        )


def _check_stamps(bundle: Files, each: _Anchored, trusted: Trusted, report: Report) -> None:
    from proxy.ledger.timestamp import verify_timestamp  # noqa: PLC0415 - a reader may lack it

    for name in each.stamps:
        try:
            data = bundle.read(each.checkpoint)
            stamp = verify_timestamp(bundle.read(name), data, trusted.authorities)
        except (ProofError, BundleError) as error:
            report.note(error, where=name, is_false=error.code != "authority")
            continue
        report.proven.append(
            f"the first {each.size} entries stood so by {stamp.at.isoformat()}: time-stamp of"
            f" `{stamp.authority}`"
        )


def _text(bundle: Files, name: str) -> str:
    return bundle.read(name).decode(errors="replace")


def _short(key: Verifier) -> str:
    return f"{key.name}+{key.key_id.hex()}"
