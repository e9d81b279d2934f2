"""What a release is made of and owes, and what stands against it, in words. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from policies.decision import Decision, Ruling
from policies.model import Effect
from proxy.ledger.entry import DatasetEntry, RunEntry

__all__ = [
    "Made",
    "Obstacle",
    "Owed",
    "base_refused",
    "foreign",
    "no_base",
    "other_licence",
    "refused",
    "refused_rows",
    "unread",
    "withdrawn",
]

_SHOWN = 3
"""Rules that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A run on record, with what its own signed record says beside it."""

    entry: RunEntry
    folder: Path
    """Of the run: its weights lie in `model/`."""
    base_origin: str
    base_licence: str | None
    """As the base's own files state it."""
    base_files: Mapping[str, str]
    """sha256 (hex) of each file of the base, by name."""
    duties: tuple[str, ...]
    """`kind: value`, as the rows of its datasets had them when they were sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Something that stands against a release, and what to do about it."""

    code: str
    what: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A duty, and where it comes from."""

    duty: str
    """`kind: value`."""
    rules: tuple[str, ...] = ()
    """The permits that bring it; none where a source or an earlier build does."""
    sources: tuple[str, ...] = ()
    """What these cite, as `policy/source`."""

    @property
    def kind(self) -> str:
        """Of the closed list."""
        return self.duty.partition(": ")[0]

    @property
    def value(self) -> str:
        """What exactly it asks for."""
        return self.duty.partition(": ")[2]


def foreign(root: str, run: RunEntry) -> Obstacle:
    """A dataset that another ledger sealed."""
    return Obstacle(
        code="other-ledger",
        what=f"run `{run.run}` learned from a dataset that this ledger did not seal: root `{root}`",
        fix="release it where that dataset was sealed",
    )


def withdrawn(entry: DatasetEntry, reason: str) -> Obstacle:
    """A dataset that was taken back for good."""
    return Obstacle(
        code="dataset-withdrawn",
        what=f"the dataset `{entry.dataset}` was withdrawn: {reason}",
        fix="build another dataset, train on it, and release that run",
    )


def refused_rows(entry: DatasetEntry, reasons: Counter[str], by: Iterable[str]) -> Obstacle:
    """Rows of a dataset that today's policies refuse, or that were erased, by reason."""
    counted = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    rules = ", ".join(f"`{rule}`" for rule in sorted(by))
    return Obstacle(
        code="rows-refused",
        what=f"of the dataset `{entry.dataset}` the student may not learn any more from: {counted}"
        + (f" (by {rules})" if rules else ""),
        fix=f"see `inbond dataset status {entry.dataset}`; build another dataset and train on that",
    )


def unread(entry: DatasetEntry, absent: Iterable[str]) -> Obstacle:
    """Rows of a dataset on which nothing can be decided."""
    names = sorted(absent)
    return Obstacle(
        code="rows-unread",
        what=f"nothing decides on {len(names)} rows of the dataset `{entry.dataset}`: "
        f"`{names[0]}` is no whole exchange",
        fix="run `inbond ledger verify`",
    )


def no_base(made: Made) -> Obstacle:
    """A base whose canonical id nobody declares."""
    return Obstacle(
        code="base-unknown",
        what=f"nobody declares the base of student `{made.entry.student}`: its files say "
        f"`{made.base_origin}`",
        fix=f"say `base:` (and `base_licence:`) in `policies/students/{made.entry.student}.yaml`",
    )


def other_licence(made: Made, stated: str, declared: str) -> Obstacle:
    """A base whose own files state another licence than is declared."""
    return Obstacle(
        code="base-licence",
        what=f"the base of run `{made.entry.run}` states the licence `{stated}`, and its student "
        f"declares `{declared}`",
        fix=f"mend `base_licence:` in `policies/students/{made.entry.student}.yaml`, or train on the "
        "base that it names",
    )


def base_refused(base: str, decision: Decision) -> Obstacle:
    """What the licence of a base does not permit."""
    if decision.silent:
        return Obstacle(
            code="base-silent",
            what=f"no policy speaks for the licence of the base `{base}`",
            fix="write one in `policies/models/`, or correct `base:` in the student's declaration",
        )
    why = _why(decision.ruling, tuple(f"`{each.fact}`" for each in decision.missing))
    return Obstacle(
        code="base-refused",
        what=f"the licence of the base `{base}` does not permit this student: {why}",
        fix=_fix(decision.ruling, is_missing=bool(decision.missing)),
    )


def refused(ruling: Ruling, missing: tuple[str, ...], count: int) -> Obstacle:
    """What the release gate forbids or holds, and of how many exchanges and bases."""
    counted = "one exchange or base" if count == 1 else f"{count} exchanges and bases"
    return Obstacle(
        code="forbidden" if ruling.verdict is Effect.FORBID else "held",
        what=f"today's policies say {ruling.verdict.value} at the release gate of {counted}: "
        f"{_why(ruling, missing)}",
        fix=_fix(ruling, is_missing=bool(missing)),
    )


def _why(ruling: Ruling, missing: tuple[str, ...]) -> str:
    setting = [hit for hit in ruling.hits if hit.rule in ruling.by]
    said = [f"rule `{hit.rule}`: {hit.because.rstrip('. ')}" for hit in setting[:_SHOWN]]
    if missing:
        said.insert(0, f"not known: {', '.join(missing)}")
    return "; ".join(said) or "nobody permits it"


def _fix(ruling: Ruling, *, is_missing: bool) -> str:
    if is_missing:
        return "declare it: the student's facts in its file, the organisation's in `inbond.yaml`"
    fixes = [hit.fix for hit in ruling.hits if hit.rule in ruling.by and hit.fix]
    return (fixes[0] if fixes else "a rule's own party can lift it by a grant").rstrip(".")
