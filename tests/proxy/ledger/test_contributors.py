"""Who contributed to whom, from leaves alone; and a dataset that leaves a contributor out is false."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.contributors import Family, Kinship, call_of, reach
from proxy.ledger.entry import SourceEntry, exchange_of
from proxy.ledger.example import ExampleRow
from proxy.ledger.leaf import Leaf, read_leaf
from proxy.ledger.verify import verify
from tests.proxy.ledger.sample import (
    AT,
    NONCE,
    VKEY,
    Extra,
    Log,
    audit_case,
    call_and_exchange,
    dataset_case,
    later,
    row_of,
)

VALID = "2026-11-25T00:00:00.000Z"


def source(name: str, id_: str, *, action: str = "declare", may_train: bool = True) -> SourceEntry:
    """A word on a source."""
    return SourceEntry.model_validate(
        {
            "id": id_,
            "at": AT,
            "actor": "user:1",
            "action": action,
            "source": name,
            "licence": "MIT",
            "may_train": may_train,
            "reason": "ours",
            "nonce": NONCE,
        }
    )


def leaves(*entries: LedgerEntry) -> list[Leaf]:
    """The leaves of entries."""
    return [read_leaf(entry.seq, entry.leaf) for entry in entries]


def exchange(found: Sequence[Leaf], name: str) -> Leaf:
    """The leaf of this id."""
    return next(leaf for leaf in found if leaf.id == name)


@given(
    edges=st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"))),
    start=st.sampled_from("abcdef"),
)
def test_all_ancestors_are_reached_whatever_the_circles(
    edges: dict[str, set[str]], start: str
) -> None:
    """The closure is closed: it holds all parents of all that it holds, and never the start."""
    found = reach(start, lambda name: edges.get(name, set()))
    assert start not in found
    for name in {start, *found}:
        assert edges.get(name, set()) <= found | {start}
    assert all(any(name in edges.get(child, set()) for child in {start, *found}) for name in found)


def test_a_calls_id_follows_from_its_exchanges() -> None:
    """The rule is that of the entries; what is no UUID stays as it is."""
    name = "019ab000-0000-7000-8000-000000000001"
    assert call_of(exchange_of(name)) == name
    assert call_of("first") == "first"


def test_parents_of_parents_and_their_sources_count() -> None:
    """The family is transitive, and an unknown parent is named too."""
    log = Log()
    found = leaves(
        log.append(source("tickets", "source-1")),
        *call_and_exchange(log, "a", sources=["source-1"], parents=["gone"]),
        *call_and_exchange(log, "b", parents=["a"]),
        *call_and_exchange(log, "c", parents=["b"]),
        *call_and_exchange(log, "d"),
    )
    kinship = Kinship(found)
    family = kinship.of(exchange(found, "c"))
    assert family == Family(exchanges=("a", "b", "gone"), sources=("source-1",))
    assert family.ids == ("a", "b", "gone", "source-1")
    assert kinship.of(exchange(found, "d")) == Family()
    assert [(call.id, name) for call, name in kinship.absent()] == [("call-a", "gone")]


def test_an_answer_that_goes_on_from_another_has_it_as_its_parent() -> None:
    """The provider's id leads to the exchange; an id that nobody answered with leads nowhere."""
    log = Log()
    found = leaves(
        *call_and_exchange(log, "a", answered=("resp_1", None)),
        *call_and_exchange(log, "b", answered=("resp_2", "resp_1")),
        *call_and_exchange(log, "c", answered=(None, "resp_9")),
    )
    kinship = Kinship(found)
    assert kinship.of(exchange(found, "b")).exchanges == ("a",)
    assert kinship.of(exchange(found, "c")).exchanges == ("c:continues",)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([source("s", "one")], ""),
        ([source("s", "one", may_train=False)], "not to be learned from"),
        ([source("s", "one"), source("s", "two", may_train=False)], "not to be learned from"),
        ([source("s", "one", may_train=False), source("s", "two")], "not to be learned from"),
        ([source("s", "one"), source("s", "two", action="withdraw")], "was withdrawn"),
        ([source("t", "two")], "is not here"),
    ],
)
def test_a_source_is_allowed_then_and_now(words: list[SourceEntry], problem: str) -> None:
    """Both what was in force at the call and the last word must allow it."""
    log = Log()
    kinship = Kinship(leaves(*(log.append(word) for word in words)))
    said = kinship.source_problem("one")
    assert said.endswith(problem)
    assert bool(said) == bool(problem)


def with_child(
    folder: Path, base: Extra, *, contributors: tuple[str, ...], **more: Any
) -> list[str]:
    """What is found wrong with a dataset in which `child` is learned from, after `base`."""
    held: dict[str, LedgerEntry] = {}

    def extra(log: Log) -> list[LedgerEntry]:
        made = [*base(log), *call_and_exchange(log, "child", **more)]
        held["child"] = made[-1]
        return made

    def rows(rows: list[ExampleRow]) -> list[ExampleRow]:
        row = row_of(held["child"], "child", 0)
        return [*rows, replace(row, contributors=contributors)]

    case = dataset_case(extra=extra, rows=rows, opened=["child"])
    return _messages(case.write(folder / "bundle"))


def _messages(path: Path) -> list[str]:
    return [finding.message for finding in verify(path, VKEY, now=VALID).findings]


def permitted(log: Log) -> list[LedgerEntry]:
    """A parent that was admitted."""
    return call_and_exchange(log, "base")


def test_a_dataset_that_names_what_contributed_is_true(tmp_path: Path) -> None:
    """Parents that were admitted and sources that allow it are no finding."""
    assert with_child(tmp_path / "one", permitted, parents=["base"], contributors=("base",)) == []

    def with_source(log: Log) -> list[LedgerEntry]:
        return [log.append(source("tickets", "source-1"))]

    two = tmp_path / "two"
    assert with_child(two, with_source, sources=["source-1"], contributors=("source-1",)) == []


def _refused_parent(log: Log) -> list[LedgerEntry]:
    return call_and_exchange(log, "base", verdict="forbid")


def _cleared_then_reversed(log: Log) -> list[LedgerEntry]:
    made = call_and_exchange(log, "base", verdict="review")
    made.append(log.append(later("base", "clear", "word-1")))
    made.append(log.append(later("base", "reverse", "word-2")))
    return made


def _interrupted(log: Log) -> list[LedgerEntry]:
    return call_and_exchange(log, "base", outcome="interrupted", is_whole=False, verdict=None)


@pytest.mark.parametrize(
    ("base", "contributors", "problem"),
    [
        (permitted, (), "names other contributors than the log has"),
        (permitted, ("base", "first"), "names other contributors than the log has"),
        (_refused_parent, ("base",), "rests on `base`, which is of an exchange that was not adm"),
        (_cleared_then_reversed, ("base",), "which is of an exchange that was not admitted"),
        (_interrupted, ("base",), "which is of an exchange that is not whole"),
    ],
)
def test_a_dropped_or_unfit_contributor_is_noticed(
    base: Extra, contributors: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    """A row that leaves its parent out, or rests on one that was not admitted, is false."""
    (message,) = with_child(tmp_path, base, parents=["base"], contributors=contributors)
    assert problem in message


def test_a_withdrawn_source_is_noticed(tmp_path: Path) -> None:
    """A row on a source that was withdrawn before the build is false."""

    def words(log: Log) -> list[LedgerEntry]:
        return [
            log.append(source("tickets", "source-1")),
            log.append(source("tickets", "source-2", action="withdraw", may_train=False)),
        ]

    (message,) = with_child(tmp_path, words, sources=["source-1"], contributors=("source-1",))
    assert "rests on the source `source-1`, which was withdrawn" in message


def test_a_bundle_without_a_named_exchange_is_false(tmp_path: Path) -> None:
    """An audit whose entries name a parent that is not there is not closed."""
    case = audit_case(extra=lambda log: call_and_exchange(log, "child", parents=["dropped"]))
    (message,) = _messages(case.write(tmp_path / "audit"))
    assert message == "call `call-child` was made from `dropped`, which is not here"
