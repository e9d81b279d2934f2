"""An answer to a question of an auditor: a table, and what the ledger does not know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.audit.evidence import Evidence, Mention, Tally, Word

__all__ = [
    "NOT_RECORDED",
    "Answer",
    "Cell",
    "Ref",
    "counted",
    "document",
    "mention",
    "plain",
    "said",
    "short",
    "sources_of",
    "total",
]

NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class Ref:
    """A text that leads to its rows: a path in the bundle, or an anchor on its page."""

    text: str
    href: str


type Cell = str | int | bool | Ref | tuple[str | Ref, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found. Rows have a cell for each column."""

    says: str
    """The answer in one sentence."""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    not_recorded: tuple[str, ...] = ()
    """What the ledger does not know, and who would."""
    tables: tuple[str, ...] = ()
    """Files of a bundle that hold every row."""

    def records(self) -> list[dict[str, object]]:
        """The rows as plain values by column: for programs."""
        return [
            {name: plain(cell) for name, cell in zip(self.columns, row, strict=True)}
            for row in self.rows
        ]


def plain(cell: Cell) -> object:
    """A cell without what it leads to."""
    if isinstance(cell, tuple):
        return [plain(part) for part in cell]
    return cell.text if isinstance(cell, Ref) else cell


def mention(found: Mention) -> Ref:
    """An exchange, leading to its entry."""
    return Ref(found.id, f"#entry-{found.seq}")


def document(folder: str, digest: str, text: str = "") -> Ref:
    """A document of the bundle by its digest."""
    return Ref(
        text or short(digest), f"{folder}/{digest}.{'yaml' if folder == 'grants' else 'json'}"
    )


def short(digest: str) -> str:
    """A digest as people compare it: its first twelve characters."""
    return digest[:12]


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def said(word: Word | None) -> str:
    """A gate's verdict; a dash where it was not asked."""
    return word.verdict if word else "–"


def total(tallies: Iterable[Tally]) -> int:
    """How many there are in all."""
    return sum(tally.count for tally in tallies)


def sources_of(evidence: Evidence) -> Mapping[str, str]:
    """`POLICY/SOURCE` of each digest of terms."""
    return {leaf.text("digest"): leaf.text("source") for leaf in evidence.of("terms")}
