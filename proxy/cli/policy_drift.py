"""Which rules to read again: those that cite a clause whose text reads differently by now.

A finding here changes no verdict. It says that the words a rule rests on have moved, or seem to.
"""

from collections.abc import Iterable
from pathlib import Path

from policies.bundle import Bundle
from policies.diagnostics import Diagnostic
from policies.excerpts import Excerpts
from policies.model import Rule
from proxy.store.session import Database
from proxy.terms import Shelf, Standing, snapshots, standings

__all__ = ["drifted_rules"]

_MOVED = ("confirmed", "suspected")
"""The states worth a word, the graver first."""


def drifted_rules(bundle: Bundle, database: Database, terms: Path) -> tuple[Diagnostic, ...]:
    """A warning at each rule for each clause it cites that drifted; `terms` is the folder of texts.

    Raises:
        LedgerError: the ledger cannot be read.
        TermsError: a text is missing or was changed.
    """
    taken = snapshots(database)
    if not taken:
        return ()
    excerpts = Excerpts(bundle.documents)
    rules = {rule.id: rule for rule in bundle.rules}
    return tuple(
        _finding(rules[rule], standing, excerpts)
        for standing in _gravest(standings(bundle, taken, Shelf(terms)))
        for rule in standing.cited.rules
    )


def _gravest(found: Iterable[Standing]) -> list[Standing]:
    """Of each clause that drifted the gravest word, from whichever vantage."""
    said: dict[tuple[str, str], Standing] = {}
    for standing in sorted(found, key=_grade):
        if standing.state in _MOVED:
            said.setdefault((standing.cited.source, standing.cited.clause), standing)
    return list(said.values())


def _grade(standing: Standing) -> int:
    return _MOVED.index(standing.state) if standing.state in _MOVED else len(_MOVED)


def _finding(rule: Rule, standing: Standing, excerpts: Excerpts) -> Diagnostic:
    source, clause = standing.cited.source, standing.cited.clause
    what = f"the clause `{clause}`" if standing.is_found else f"the text, for `{clause}`,"
    seen = "reads differently" if standing.needs_review else "seems to read differently"
    since = "" if standing.drift is None else f" since {standing.drift.since.date().isoformat()}"
    return excerpts.warning(
        "drifted",
        rule.where,
        f"{what} of `{source}` {seen}{since}, as seen from `{standing.vantage}`",
        f"see `inbond terms diff {source}`; `inbond terms review {source} --reason …` once it was read",
    )
