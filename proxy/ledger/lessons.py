"""The rows of a dataset against the entries: every example an admitted exchange, its texts sealed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from proxy.errors import BundleError, CanonicalError
from proxy.ledger.bundle import ENTRIES, EXAMPLES, MANIFEST, OpenBundle
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.census import Census
from proxy.ledger.columns import RowPart, part_rows, row_parts
from proxy.ledger.contributors import Family
from proxy.ledger.crew import Crew
from proxy.ledger.example import ExampleRow, read_manifest, texts_of
from proxy.ledger.imported import IMPORTED, Imports
from proxy.ledger.leaf import Leaf
from proxy.ledger.merkle import Frontier, leaf_hash, peaks_of
from proxy.ledger.openings import Openings, texts_digest
from proxy.ledger.pieces import Part
from proxy.ledger.report import Report
from proxy.ledger.stretch import Answered, Asked

__all__ = ["Lessons", "Read", "read_lines", "read_rows"]


@dataclass(slots=True)
class Read:
    """What was read of a part; `problem` is the message of an error, or `canonical`."""

    count: int = 0
    peaks: list[tuple[int, bytes]] = field(default_factory=list)
    rows: list[tuple[ExampleRow, bytes]] = field(default_factory=list)
    """With the digest of their texts."""
    problem: tuple[str, str] | None = None


@dataclass(slots=True)
class Lines:
    """What a part of a manifest says of each exchange: its place where it is permitted."""

    lines: list[tuple[str, int | None]] = field(default_factory=list)
    fault: tuple[int, str, str] | None = None
    """The line, from 1, the message and the help."""


def read_rows(part: RowPart) -> Read:
    """The examples of a part of `examples.parquet`."""
    found, hashes = Read(), list[bytes]()
    try:
        for row in part_rows(part):
            example = ExampleRow.from_row(row)
            hashes.append(leaf_hash(canonical(row)))
            found.rows.append((example, texts_digest(example.texts)))
    except BundleError as error:
        return Read(problem=(error.message, error.help))
    except CanonicalError:
        return Read(problem=("canonical", ""))
    found.count, found.peaks = len(hashes), peaks_of(part.start, hashes)
    return found


def read_lines(part: Part) -> Lines:
    """The lines of a part of `manifest.jsonl`."""
    found = Lines()
    for number, line in enumerate(part.lines(), 1):
        try:
            (said,) = read_manifest(line)
        except (BundleError, ValueError) as error:
            message, help_ = "this is no line of a manifest", getattr(error, "help", "")
            found.fault = number, message, help_
            break
        found.lines.append((said.exchange, said.seq if said.verdict == "permit" else None))
    return found


class Lessons:
    """The rows of a dataset against what its bundle's entries say."""

    def __init__(
        self, bundle: OpenBundle, census: Census, openings: Openings, subject: Leaf, report: Report
    ) -> None:
        self._bundle = bundle
        self._census = census
        self._openings = openings
        self._subject = subject
        self._report = report
        self._kinship = census.kinship()
        self._imports = Imports(census.others)
        self._named = {name: frozenset(subject.texts(name)) for name in ("terms", "grants")}
        self._permitted: dict[str, int] = {}
        """The places of exchanges that the manifest permits."""
        self._imported: list[Leaf] = []

    def check(self, intact: frozenset[str], now: str | None, crew: Crew) -> None:
        """Note whether the dataset is what its entry says, and every row an admitted exchange."""
        self._check_validity(now)
        self._check_manifest(crew)
        if EXAMPLES not in intact:
            self._report.refute("rows", EXAMPLES, "the examples are absent or not those signed")
            return
        try:
            parts = row_parts(self._bundle.pieces.path(EXAMPLES))
            if sum(part.count for part in parts) == self._subject.fields["rows"]:
                self._check_rows(parts, crew)
            else:  # a few bytes can hold more rows than anybody can hash
                self._report.refute("rows", EXAMPLES, "there are more or fewer than were sealed")
        except ImportError:
            self._report.doubt("rows", EXAMPLES, "pyarrow is not installed: no example can be read")
        except BundleError as error:
            error.where = EXAMPLES
            raise

    def _check_rows(self, parts: list[RowPart], crew: Crew) -> None:
        frontier, is_canonical = Frontier(), True
        problems: list[tuple[str, str]] = []
        repeated: list[tuple[str, str]] = []
        seen: set[str] = set()
        for read in crew.each(read_rows, parts, len(parts)):
            if read.problem is not None:
                if read.problem[0] != "canonical":
                    raise BundleError(read.problem[0], help=read.problem[1])
                is_canonical = False
                break
            frontier = frontier.add(read.peaks)
            for row, digest in read.rows:
                self._count_imported(row)
                if problem := self._problem(row, digest):
                    problems.append((row.example, problem))
                if row.example in seen:
                    repeated.append((row.example, "stands twice"))
                seen.add(row.example)
        sealed = self._subject.text("root"), self._subject.fields["rows"]
        if not is_canonical or (frontier.root().hex(), frontier.size) != sealed:
            self._report.refute("rows", EXAMPLES, "the examples do not hash to the dataset's root")
            return
        self._tell(problems + repeated, frontier.size)

    def _count_imported(self, row: ExampleRow) -> None:
        call = self._census.calls.get(row.call)
        if call is not None and call.imported is not None:
            self._imported.append(_leaf_of(call))

    def _tell(self, problems: list[tuple[str, str]], count: int) -> None:
        for example, problem in problems:
            self._report.refute("row", EXAMPLES, f"example `{example}` {problem}")
        if not problems:
            self._report.proven.append(
                f"{count} examples are complete exchanges that were admitted, "
                "their texts what was sealed at the time"
            )
            self._report.claimed.append("the provider, licence and duties of each example")
            self._report.claimed += self._imports.claims(self._imported)

    def _check_validity(self, now: str | None) -> None:
        until = self._subject.text("valid_until")
        if now is None:
            self._report.not_covered.append(
                f"whether the dataset is still valid: it was until {until}"
            )
            return
        try:
            is_past = datetime.fromisoformat(now) >= datetime.fromisoformat(until)
        except (ValueError, TypeError):
            is_past = True
        if is_past:
            self._report.doubt("expired", ENTRIES, f"the dataset was valid until {until}")

    def _check_manifest(self, crew: Crew) -> None:
        if self._bundle.pieces.digest(MANIFEST) != self._subject.text("manifest"):
            self._report.refute("manifest", MANIFEST, "the manifest is not the one committed to")
            return
        try:
            said = dict(self._lines(crew))
        except BundleError as error:
            self._report.note(error, where=MANIFEST)
            return
        self._permitted = {name: seq for name, seq in said.items() if seq is not None}
        self._report.proven.append(
            f"the manifest of {len(said)} exchanges considered is the one committed to"
        )

    def _lines(self, crew: Crew) -> Iterator[tuple[str, int | None]]:
        parts, before = self._bundle.pieces.parts(MANIFEST), 0
        for read in crew.each(read_lines, parts, len(parts)):
            yield from read.lines
            if read.fault is not None:
                line, message, help_ = read.fault
                raise BundleError(message, help=help_, where=f"{MANIFEST}:{before + line}")
            before += len(read.lines)

    def _problem(self, row: ExampleRow, digest: bytes) -> str:
        """Why a row is not what it says; empty when it is."""
        exchange = self._census.exchanges.get(row.exchange)
        if exchange is None or exchange.seq != row.seq:
            return "is of an exchange that is not here"
        if self._permitted.get(row.exchange) != row.seq:
            return "is of an exchange that the manifest does not permit"
        problem = (
            self._admission_problem(exchange)
            or self._label_problem(row, exchange)
            or self._family_problem(row, exchange)
        )
        if problem or self._openings.has_texts(exchange.seal, row.choice, digest):
            return problem
        return self._text_problem(row, exchange)

    def _admission_problem(self, exchange: Answered) -> str:
        if not exchange.is_whole:
            return "is of an exchange that is not whole"
        if not self._census.is_admitted(exchange):
            return "is of an exchange that was not admitted"
        call = self._census.calls[exchange.call]
        if call.imported is None and call.route != IMPORTED:
            return ""
        return self._imports.problem(_leaf_of(call))

    def _label_problem(self, row: ExampleRow, exchange: Answered) -> str:
        call = self._census.calls[exchange.call]
        expected = {
            "example": f"{row.exchange}#{row.choice}",
            "call": call.id,
            "verdict": "permit",
            "student": self._subject.text("student"),
            "bundle": self._subject.text("decision_bundle"),
            "project": call.project,
            "route": call.route,
            "model": exchange.model,
            "exchange_at": exchange.at,
            "answer_seal": exchange.seal,
        }
        for name, value in expected.items():
            if getattr(row, name) != value:
                return f"does not have the `{name}` that the log has: `{value}`"
        for folder, ending, digests in (
            ("terms", "json", row.terms),
            ("grants", "yaml", row.grants),
        ):
            for digest in digests:
                if digest not in self._named[folder]:
                    return f"rests on `{folder}/{digest}.{ending}`, which the dataset does not name"
        return ""

    def _family_problem(self, row: ExampleRow, exchange: Answered) -> str:
        """Why what an example rests on is not what the log says, or may not be learned from."""
        family = self._family(exchange)
        for name in family.exchanges:
            found = self._census.exchanges.get(name)
            if found is None:
                return f"rests on `{name}`, which is not here"
            if problem := self._admission_problem(found):
                return f"rests on `{name}`, which {problem}"
        for name in family.sources:
            if problem := self._kinship.source_problem(name):
                return f"rests on the source `{name}`, which {problem}"
        if row.contributors != family.ids:
            return "names other contributors than the log has"
        return ""

    def _family(self, exchange: Answered) -> Family:
        if not self._census.has_family:
            return Family()
        return self._kinship.of(Leaf(seq=exchange.seq, data=b"", fields={"id": exchange.id}))

    def _text_problem(self, row: ExampleRow, exchange: Answered) -> str:
        opening = self._openings.get(exchange.seal)
        if opening is None:
            return "has no opening: nothing shows that its text was sealed"
        try:
            sealed = texts_of(opening.body, row.choice)
            is_same = sealed.normalised() == row.texts.normalised()
        except BundleError as error:
            return f"is not in what was sealed: {error.message}"
        return "" if is_same else "has another text than was sealed"


def _leaf_of(call: Asked) -> Leaf:
    """What the leaf of a call says of an import."""
    fields: dict[str, Json] = {
        "id": call.id,
        "imported": call.imported,
        "facts": {"route": call.route},
    }
    return Leaf(seq=0, data=b"", fields=fields)
