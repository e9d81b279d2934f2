"""The openings of a bundle, read part by part: where each lies, whether it opens its seal, its texts."""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from operator import attrgetter

from proxy.errors import BundleError, ProofError
from proxy.ledger.bundle import OPENINGS, OpenBundle, Opening, read_opening
from proxy.ledger.crew import Crew
from proxy.ledger.example import ExampleTexts, texts_of
from proxy.ledger.pieces import Part, open_plain
from proxy.ledger.report import Report
from proxy.ledger.source import damaged

__all__ = ["Openings", "read_openings", "scan_openings", "texts_digest"]

_TEXTS = attrgetter(*ExampleTexts.__slots__)

_CHOICES = 16
"""Of readings with more choices, each is read when an example names it: all at once would take long."""


@dataclass(slots=True)
class _Place:
    """Where an opening lies, and what its body holds."""

    part: Part
    start: int
    length: int
    digests: dict[int, bytes]
    """Of the texts of each choice, where the body is a reading."""


@dataclass(slots=True)
class Scanned:
    """One opening that was read: `place` where it opens its seal, else `error` or neither."""

    name: str
    place: _Place | None = None
    error: tuple[str, str, str, str] | None = None


@dataclass(slots=True)
class Scan:
    """The openings of a part, up to its first fault: the line, from 0, and what is wrong."""

    openings: list[Scanned] = field(default_factory=list)
    fault: tuple[int, str] | None = None


class Openings(Collection[str]):
    """The seals that are rightly opened, and what opens them."""

    def __init__(self) -> None:
        self._scanned: dict[str, Scanned] = {}
        self._unnamed: set[str] = set()
        self._good: dict[str, _Place] = {}
        self._fault: BundleError | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._good)

    def __len__(self) -> int:
        return len(self._good)

    def __contains__(self, name: object) -> bool:
        return name in self._good

    @property
    def is_any(self) -> bool:
        """Whether there is any, right or not."""
        return bool(self._scanned)

    def get(self, name: str) -> Opening | None:
        """What opens a seal, read again; None where nothing does."""
        place = self._good.get(name)
        if place is None:
            return None
        with open_plain(place.part.path) as file:
            file.seek(place.start)
            return read_opening(file.read(place.length), OPENINGS)[1]

    def has_texts(self, name: str, choice: int, digest: bytes) -> bool:
        """Whether the body under a seal is known to hold a choice of texts with this digest."""
        place = self._good.get(name)
        return place is not None and place.digests.get(choice) == digest

    def see(self, seals: Iterable[str]) -> None:
        """Take note of seals that entries name."""
        self._unnamed.difference_update(seals)

    def take(self, scan: Scan, before: int) -> None:
        """Take in the openings of the next part; `before` lines stand before it."""
        for number, scanned in enumerate(scan.openings, before + 1):
            if scanned.name in self._scanned and self._fault is None:
                self._fault = damaged(
                    f"seal `{scanned.name}` is opened twice", f"{OPENINGS}:{number}"
                )
            self._scanned[scanned.name] = scanned
        self._unnamed.update(scanned.name for scanned in scan.openings)
        if scan.fault is not None and self._fault is None:
            line, message = scan.fault
            self._fault = damaged(message, f"{OPENINGS}:{before + line + 1}")

    def fail(self, error: BundleError) -> None:
        """Take note that the file cannot be read."""
        self._fault = self._fault or error

    def settle(self, report: Report) -> None:
        """Note which openings are of sealed bytes, once all entries were seen.

        Raises:
            BundleError: a line is not an opening's, or a seal is opened twice.
        """
        if self._fault is not None:
            raise self._fault
        for name, scanned in self._scanned.items():
            if scanned.error is not None:
                message, help_, where, code = scanned.error
                report.note(ProofError(message, help=help_, where=where, code=code), where=OPENINGS)
            elif scanned.place is None:
                report.refute(
                    "opening", OPENINGS, f"the body given for seal `{name}` is not what it seals"
                )
            elif name in self._unnamed:
                report.refute("opening", OPENINGS, f"no entry here names the seal `{name}`")
            else:
                self._good[name] = scanned.place
        report.proven.append(f"{len(self._good)} bodies are the ones that were sealed")
        self._scanned.clear()
        self._unnamed.clear()


def scan_openings(bundle: OpenBundle, crew: Crew, *, has_texts: bool) -> Openings:
    """The openings of a bundle; with `has_texts` also what those that are readings say."""
    found = Openings()
    if OPENINGS not in bundle.names:
        return found
    try:
        parts = bundle.pieces.parts(OPENINGS)
    except BundleError as error:
        found.fail(error)
        return found
    before = 0
    for scan in crew.each(partial(read_openings, has_texts), parts, len(parts)):
        found.take(scan, before)
        before += len(scan.openings)
    return found


def read_openings(has_texts: bool, part: Part) -> Scan:  # noqa: FBT001 - bound by `partial`
    """The openings of a part of `openings.jsonl`."""
    found, start = Scan(), part.start
    for number, line in enumerate(part.lines()):
        try:
            name, opening = read_opening(line, "")
        except BundleError as error:
            found.fault = number, error.message
            break
        found.openings.append(
            _scanned(name, opening, _Place(part, start, len(line), {}), has_texts)
        )
        start += len(line) + 1
    return found


def _scanned(name: str, opening: Opening, place: _Place, has_texts: bool) -> Scanned:  # noqa: FBT001 - one caller
    try:
        if opening.seal != name:
            return Scanned(name)
    except ProofError as error:
        return Scanned(name, error=(error.message, error.help, error.where, error.code))
    if has_texts:
        place.digests = _digests(opening.body)
    return Scanned(name, place)


def _digests(body: bytes) -> dict[int, bytes]:
    """The digest of each choice of a reading; nothing of what is none."""
    try:
        indices = {part["index"] for part in json.loads(body)["answer"]["choices"]}
        if len(indices) > _CHOICES:
            return {}
        return {at: texts_digest(texts_of(body, at)) for at in indices if type(at) is int}
    except (BundleError, ValueError, TypeError, LookupError, RecursionError):
        return {}


def texts_digest(texts: ExampleTexts) -> bytes:
    """The digest of the texts of an example as they are spelled."""
    found = sha256()
    for part in _TEXTS(texts):
        data = b"" if part is None else part.encode()
        found.update(b"-" if part is None else b"%d:" % len(data))
        found.update(data)
    return found.digest()
