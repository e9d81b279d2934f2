"""Questions about the record itself: that it is whole, what went around it, who else can check it."""

from collections.abc import Iterable, Mapping

from proxy.audit.answer import NOT_RECORDED, Answer, Cell
from proxy.audit.evidence import Evidence, Tally, merge_into
from proxy.ledger.canonical import Json
from proxy.ledger.imported import NO_MODEL

__all__ = ["sheets", "traffic", "unchanged", "without_us"]

_ORIGINS = {
    "own": "the organisation's own data",
    "open": "openly licensed data",
    "licensed": "data under a contract",
}
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
        if key.outcome != "refused" and not key.is_imported:
            merge_into(groups, (key.day, key.provider, key.model or key.asked, key.key), tally)
    rows: list[tuple[Cell, ...]] = [
        (*name, tally.count, tally.input, tally.output, tally.silent_usage)
        for name, tally in sorted(groups.items())
    ]
    compared = [found for leaf in evidence.of("admin") if (found := leaf.record("reconciled"))]
    return Answer(
        says="Calls that reached a teacher, per day, provider, model and key. A provider's own usage "
        f"export shows what went around the recorder{_reconciled(compared)}.",
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
        not_recorded=(
            "traffic of days and keys that no export was compared with"
            if compared
            else "traffic that went around the recorder, until it is reconciled",
        ),
        tables=("tables/exchanges.parquet",),
    )


def _reconciled(compared: Iterable[Mapping[str, Json]]) -> str:
    """What comparisons on record found."""
    found = "; ".join(
        f"{each['provider']} from {each['since']} to {each['until']}: {each['matched']} rows agree, "
        f"of {each['around']} the provider saw more "
        f"({NOT_RECORDED if each['calls_around'] is None else each['calls_around']} calls, "
        f"{each['tokens_around']} tokens), of {each['beyond']} less"
        for each in compared
    )
    return f". Compared were {found}" if found else ""


def sheets(evidence: Evidence) -> Answer:
    """What the ledger knows for public summaries of training content (question 12)."""
    groups: dict[tuple[str, str, str, str], Tally] = {}
    origins = {leaf.text("name"): leaf.text("origin") for leaf in evidence.of("import")}
    for key, tally in evidence.examples.items():
        merge_into(groups, (key.student, key.provider, key.model, key.licence), tally)
    rows: list[tuple[Cell, ...]] = [
        (
            student,
            _kind(origins, provider, model),
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
            "imported data, in prompts",
            leaf.text("source"),
            "–",
            leaf.text("licence"),
            NOT_RECORDED,
            leaf.text("at")[:10],
        )
        for leaf in evidence.of("source")
        if leaf.text("action") == "declare" and leaf.text("source") not in origins
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


def _kind(origins: Mapping[str, str], provider: str, model: str) -> str:
    """What examples are, in the words of the sheets; `origins` are those of imports, by source."""
    if model != NO_MODEL:
        return "synthetic: answers of a model"
    return f"imported: {_ORIGINS.get(origins.get(provider, ''), NOT_RECORDED)}"


def without_us(evidence: Evidence) -> Answer:
    """How to check all of this without our software (question 15)."""
    del evidence
    return Answer(
        says="`VERIFY.md` in the bundle gives each command.",
        columns=("what is shown", "where it stands", "with what"),
        rows=_TOOLS,
    )
