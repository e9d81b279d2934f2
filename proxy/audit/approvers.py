"""On whose word an example rests: who approved its grants and its student, who cleared it."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from policies.bundle import Bundle
from proxy.ledger.entry import DecisionEntry, Entry, GrantEntry, JudgementEntry
from proxy.ledger.example import ExampleRow

__all__ = ["Approvers"]


class Approvers:
    """Answers from the entries of a log, given in its order, and the policy bundles they name."""

    def __init__(self, entries: Iterable[Entry], load: Callable[[str], Bundle]) -> None:
        """Take note of every approval; `load` gives the policy bundle of a digest."""
        self._load = load
        self._papers: dict[str, str] = {}
        self._words: dict[str, list[str]] = defaultdict(list)
        self._students: dict[tuple[str, str], str] = {}
        for entry in entries:
            match entry:
                case GrantEntry(action="approve"):
                    self._papers[entry.digest] = f"{entry.subject} {entry.name}: {entry.actor}"
                case DecisionEntry(action="clear"):
                    self._words[entry.exchange].append(f"clearance: {entry.actor}")
                case JudgementEntry():
                    self._words[entry.exchange].append(f"judgement: {entry.actor}")
                case _:
                    pass

    def of(self, row: ExampleRow) -> tuple[str, ...]:
        """`WHAT: ACTOR` for each person on whose word the row is in its dataset.

        Raises:
            LedgerError: the policy bundle that the row names cannot be read.
        """
        digests = (*row.grants, self._student(row))
        papers = [self._papers[digest] for digest in digests if digest in self._papers]
        return (*papers, *self._words.get(row.exchange, ()))

    def _student(self, row: ExampleRow) -> str:
        """The digest of the student's declaration."""
        key = row.bundle, row.student
        if key not in self._students:
            declared = self._load(row.bundle).students.get(row.student)
            self._students[key] = "" if declared is None else declared.digest
        return self._students[key]
