"""Questions about keeping: what was erased and what was trained on it, and what is under hold."""

from proxy.audit.answer import NOT_RECORDED, Answer, Cell, counted
from proxy.audit.evidence import Evidence
from proxy.ledger.bundle import openings_digest

__all__ = ["erased", "held"]


def erased(evidence: Evidence) -> Answer:
    """What was erased, which copies were disclosed before, and what was trained on it (question 10)."""
    rows: list[tuple[Cell, ...]] = []
    for leaf in evidence.of("erase"):
        copies = leaf.record("copies") or {}
        rows.append(
            (
                leaf.text("at"),
                leaf.text("actor"),
                leaf.text("ground"),
                len(leaf.texts("exchanges")),
                len(leaf.texts("seals")),
                tuple(f"{recipient} ({name})" for name, recipient in copies.items()) or "none",
                tuple(leaf.texts("runs")) or "none",
                leaf.text("gone_by") if leaf.fields.get("gone_by") else NOT_RECORDED,
                leaf.text("reason"),
            )
        )
    nothing = openings_digest(())
    disclosed = [
        leaf for leaf in evidence.of("dataset", "export") if leaf.text("openings") != nothing
    ]
    return Answer(
        says=f"{counted(len(rows), 'erasure')} on record. Bodies were disclosed in "
        f"{counted(len(disclosed), 'dataset or audit', 'datasets and audits')}, whose copies the "
        "recorder cannot reach.",
        columns=(
            "at",
            "by",
            "ground",
            "exchanges",
            "bodies",
            "copies disclosed before",
            "runs that learned from it",
            "last backup gone by",
            "reason",
        ),
        rows=tuple(rows),
        not_recorded=("who a text is about: the ledger holds no personal data to search by",),
    )


def held(evidence: Evidence) -> Answer:
    """What must be kept, since when, and what was released from it (question 11)."""
    lifted = {
        leaf.text("hold"): leaf for leaf in evidence.of("hold") if leaf.text("action") == "lift"
    }
    rows: list[tuple[Cell, ...]] = []
    for leaf in evidence.of("hold"):
        if leaf.text("action") != "lift":
            end = lifted.get(leaf.text("hold"))
            rows.append(
                (
                    leaf.text("hold"),
                    leaf.text("scope"),
                    leaf.text("subject") or "–",
                    leaf.text("at"),
                    leaf.text("actor"),
                    f"{end.text('at')} by {end.text('actor')}" if end else "in force",
                    leaf.text("reason"),
                )
            )
    now = sum(1 for row in rows if row[5] == "in force")
    return Answer(
        says=f"{counted(now, 'hold')} in force, of {len(rows)} ever placed.",
        columns=("hold", "scope", "subject", "placed at", "by", "lifted", "reason"),
        rows=tuple(rows),
    )
