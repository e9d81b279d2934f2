"""Questions about what was learned: the examples of a student, its weights, one example's receipt."""

from proxy.audit.answer import (
    NOT_RECORDED,
    Answer,
    Cell,
    counted,
    document,
    mention,
    said,
    total,
)
from proxy.audit.evidence import Evidence

__all__ = ["examples", "receipt", "weights"]

_EXAMPLES = "tables/examples.parquet"
_EXCHANGES = "tables/exchanges.parquet"


def examples(evidence: Evidence) -> Answer:
    """Which examples students have, under which clauses and on whose word (question 1)."""
    rows: list[tuple[Cell, ...]] = [
        (
            key.student,
            key.dataset,
            key.provider,
            key.model,
            tally.count,
            key.clauses,
            tuple(document("terms", digest) for digest in key.terms),
            key.approved_by or "nobody had to",
            mention(tally.first),
            tally.last.at,
        )
        for key, tally in sorted(evidence.examples.items(), key=lambda pair: pair[1].first.at)
    ]
    datasets = {key.dataset for key in evidence.examples}
    absent = evidence.holding.absent
    return Answer(
        says=f"{counted(total(evidence.examples.values()), 'example')} in "
        f"{counted(len(datasets), 'dataset')}.",
        columns=(
            "student",
            "dataset",
            "provider",
            "model",
            "examples",
            "clauses relied on",
            "terms",
            "approved by",
            "first",
            "last called at",
        ),
        rows=tuple(rows),
        not_recorded=tuple(
            f"the examples of dataset `{name}`: its bundle is not at hand" for name in absent
        ),
        tables=(_EXAMPLES,),
    )


def weights(evidence: Evidence) -> Answer:
    """Which weights each run made, and whether a release approved them (question 9)."""
    released = {
        leaf.text("run"): leaf
        for leaf in evidence.of("release")
        if leaf.text("action") == "release"
    }
    rows: list[tuple[Cell, ...]] = []
    for run in evidence.of("run"):
        by_file = run.record("weights") or {}
        for name, digest in sorted(by_file.items()):
            release = released.get(run.text("run"))
            approved = f"{release.text('at')} by {release.text('actor')}" if release else "no"
            rows.append(
                (run.text("student"), run.text("run"), name, str(digest), run.text("at"), approved)
            )
    return Answer(
        says=f"{counted(len(rows), 'file')} of weights in {counted(len(evidence.of('run')), 'run')}; "
        "a file is the approved one if its SHA-256 stands here and its release does.",
        columns=("student", "run", "file", "sha256", "recorded at", "released"),
        rows=tuple(rows),
        not_recorded=("weights whose run nobody put on record",),
    )


def receipt(evidence: Evidence) -> Answer:
    """Where each exchange stands in the log, and how to get its receipt (question 14)."""
    found = sorted(evidence.exchanges.items(), key=lambda pair: pair[1].first.seq)
    one = [(key, tally) for key, tally in found if tally.count == 1]
    rows: list[tuple[Cell, ...]] = [
        (
            mention(tally.first),
            tally.first.seq,
            tally.first.at,
            key.model or NOT_RECORDED,
            said(key.response),
            f"inbond audit prove {tally.first.id}",
        )
        for key, tally in (one if len(found) == 1 else [])
    ]
    return Answer(
        says="`inbond audit prove EXCHANGE` writes a receipt: the entry, its inclusion proof and "
        "checkpoint (C2SP tlog-proof), and what it discloses.",
        columns=("exchange", "place", "called at", "model", "verdict", "command"),
        rows=tuple(rows),
        tables=(_EXCHANGES,),
    )
