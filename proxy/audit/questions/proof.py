"""Questions about the record itself: that it is whole, what went around it, who else can check it."""

from proxy.audit.answer import NOT_RECORDED, Answer, Cell
from proxy.audit.evidence import Evidence, Tally, merge_into

__all__ = ["sheets", "traffic", "unchanged", "without_us"]

_TOOLS = (
    ("the checkpoint is signed by the key you pinned", "log/checkpoint", "Go sumdb/note"),
    ("the tiles hash to its root", "log/tile/", "Go sumdb/tlog; any SHA-256"),
    ("it extends the checkpoint you kept", "log/tile/", "Go sumdb/tlog"),
    ("each entry is the log's", "entries.jsonl", "SHA-256 of a zero byte and the text"),
    ("each disclosed text is the one sealed", "openings.jsonl", "openssl dgst -hmac"),
    ("no file was changed or added", "export.sig", "model_signing; openssl dgst -verify"),
    ("policies, terms and grants are those named", "policies/ terms/ grants/", "SHA-256"),
    ("the tables say what the entries say", "tables/", "DuckDB over entries.jsonl"),
)


def unchanged(evidence: Evidence) -> Answer:
    """How to show that nothing was removed or changed since a checkpoint (question 2)."""
    opened = evidence.of("open")
    origin = opened[0].text("origin") if opened else NOT_RECORDED
    rows: list[tuple[Cell, ...]] = [
        (leaf.text("at"), leaf.kind, leaf.text("recipient"), leaf.seq + 1)
        for leaf in evidence.of("dataset", "export")
    ]
    return Answer(
        says=f"The log `{origin}` is append-only for whoever kept a checkpoint: "
        "`inbond audit verify PATH --key VKEY --checkpoint KEPT` shows that it was only added to. "
        "Each line below handed a signed checkpoint of at least this size to somebody.",
        columns=("at", "what", "recipient", "size of the log"),
        rows=tuple(rows),
        not_recorded=("rewriting by the key's holder, where nobody kept an older checkpoint",),
    )


def traffic(evidence: Evidence) -> Answer:
    """What the provider should have counted, for comparison with its own usage export (question 13)."""
    groups: dict[tuple[str, str, str, str], Tally] = {}
    for key, tally in evidence.exchanges.items():
        if key.outcome != "refused":
            merge_into(groups, (key.day, key.provider, key.model or key.asked, key.key), tally)
    rows: list[tuple[Cell, ...]] = [
        (*name, tally.count, tally.input, tally.output, tally.silent_usage)
        for name, tally in sorted(groups.items())
    ]
    return Answer(
        says="Calls that reached a teacher, per day, provider, model and key. A provider's own usage "
        "export shows what went around the recorder.",
        columns=(
            "day",
            "provider",
            "model",
            "key",
            "calls",
            "input tokens",
            "output tokens",
            "without usage",
        ),
        rows=tuple(rows),
        not_recorded=("traffic that went around the recorder, until it is reconciled",),
        tables=("tables/exchanges.parquet",),
    )


def sheets(evidence: Evidence) -> Answer:
    """What the ledger knows for public summaries of training content (question 12)."""
    groups: dict[tuple[str, str, str, str], Tally] = {}
    for key, tally in evidence.examples.items():
        merge_into(groups, (key.student, key.provider, key.model, key.licence), tally)
    rows: list[tuple[Cell, ...]] = [
        (
            student,
            "synthetic: answers of a model",
            provider,
            model,
            licence or NOT_RECORDED,
            tally.count,
            f"{tally.first.at[:10]} – {tally.last.at[:10]}",
        )
        for (student, provider, model, licence), tally in sorted(groups.items())
    ]
    rows += [
        (
            NOT_RECORDED,
            "imported data",
            NOT_RECORDED,
            "–",
            leaf.text("licence"),
            NOT_RECORDED,
            leaf.text("at")[:10],
        )
        for leaf in evidence.of("source")
        if leaf.text("action") == "declare"
    ]
    return Answer(
        says="What the ledger knows of training content for the summaries of Article 53(1)(d) of the "
        "EU AI Act, of California AB 2013 and of the D&TA standard.",
        columns=(
            "student",
            "kind of data",
            "provider",
            "model",
            "licence",
            "examples",
            "collected",
        ),
        rows=tuple(rows),
        not_recorded=(
            "data that the base model was trained on before",
            "the size of the content in the units of those sheets",
        ),
        tables=("tables/examples.parquet",),
    )


def without_us(evidence: Evidence) -> Answer:
    """How to check all of this without our software (question 15)."""
    del evidence
    return Answer(
        says="`VERIFY.md` in the bundle gives each command.",
        columns=("what is shown", "where it stands", "with what"),
        rows=_TOOLS,
    )
