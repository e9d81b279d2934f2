"""The closed union of what a leaf says (design §6).

A leaf is canonical JSON of one entry: ASCII keys, no floats, integers below 2^53, at most 65,535
bytes. Values are closed or opaque ids: no free text of a prompt or an answer, no personal data.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

__all__ = [
    "MAX_LEAF_BYTES",
    "AdminEntry",
    "BatchRecord",
    "CallEntry",
    "DatasetEntry",
    "DecisionEntry",
    "DecisionRecord",
    "Entry",
    "EraseEntry",
    "ExchangeEntry",
    "ExportEntry",
    "FactValue",
    "GrantEntry",
    "HoldEntry",
    "ImportEntry",
    "JudgementEntry",
    "KeyEntry",
    "LineRecord",
    "OpenEntry",
    "PolicyEntry",
    "ReconcileRecord",
    "ReleaseEntry",
    "RunEntry",
    "SealRecord",
    "SnapshotEntry",
    "SourceEntry",
    "StatusEntry",
    "TermsEntry",
    "UsageRecord",
    "exchange_of",
    "parse_entry",
]

MAX_LEAF_BYTES = 65_535

type Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
type Host = Annotated[str, Field(pattern=r"^[a-z0-9._:-]{1,253}$")]
type FactValue = str | int | bool | list[str]
"""Sets are sorted lists without duplicates."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SealRecord(_Record):
    """A seal: HMAC-SHA256(salt, bytes) in hex, and the length of the bytes."""

    seal: Digest
    size_bytes: int


class DecisionRecord(_Record):
    """A decision as a leaf keeps it; with the facts and the bundle it can be made again."""

    gate: Literal["request", "response", "dataset", "release"]
    verdict: Literal["permit", "review", "forbid"]
    bundle: Digest
    meaning: Digest
    exchange_at: str
    today_at: str
    by: list[str] = []
    silent: list[str] = []
    missing: list[str] = []
    lifted: list[str] = []
    clauses: list[str] = []
    """`policy/rule source clause` of the rules that set the verdict."""
    terms: list[Digest] = []
    """Digests of the sources those clauses stand in."""
    grants: list[Digest] = []
    """Digests of the grants that lifted or permitted."""
    duties: list[str] = []
    """`kind: value`, sorted."""


class UsageRecord(_Record):
    """Token counts as the provider states them; None is "did not say"."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class LineRecord(_Record):
    """Which line of which batch a call is."""

    create: str
    """The call that the line left with."""
    custom: Digest
    """The keyed digest of the customer's own id of the line: the id itself is in the sealed request."""


class BatchRecord(_Record):
    """What an answer said of a batch, or of a file for one, in the provider's own ids."""

    batch: str | None = None
    state: Literal["open", "ended"] | None = None
    input: str | None = None
    """A file of requests."""
    outputs: list[str] = []
    """The files of results that it names."""
    read: str | None = None
    """The file or batch whose results this answer brought, all of them."""


class _Entry(_Record):
    v: Literal[1] = 1
    id: str
    """UUIDv7: unique, so that an append tried twice is one entry."""
    at: str
    """UTC with milliseconds, such as `2026-11-24T05:00:00.123Z`."""
    actor: str
    """An opaque id: `key:…`, `user:…`, `inbond`."""


class OpenEntry(_Entry):
    """The first entry: the installation's name and log key."""

    kind: Literal["open"] = "open"
    origin: str
    log_key: str
    """The log's verifier key (C2SP signed-note vkey)."""
    nonce: str


class KeyEntry(_Entry):
    """A key was made or revoked. A client key is kept as sha256 of its 32 random bytes' text."""

    kind: Literal["key"] = "key"
    action: Literal["create", "revoke"]
    role: Literal["client", "log", "export"]
    key: str
    """The key's id."""
    public: str | None = None
    """vkey (log) or PEM of the public key (export)."""
    digest: Digest | None = None
    """Of a client key."""
    project: str | None = None
    student: str | None = None
    """The student a project's key stamps on each call (design §2)."""
    handover: str | None = None
    """Of a log key that replaces another: the note by which that one handed the log over to it."""
    nonce: str


class PolicyEntry(_Entry):
    """A policy bundle came into force; the document of this digest is stored beside the log.

    The digest commits to every file and approval, and the document holds them: a leaf that listed
    them would be too large at some hundred. Older leaves list them in `files` and `approvals`.
    """

    kind: Literal["policy"] = "policy"
    bundle: Digest
    meaning: Digest
    files: dict[str, Digest] = {}
    overrides: list[str] = []
    """Library files that the workspace replaces."""
    approvals: list[Digest] = []
    nonce: str


class TermsEntry(_Entry):
    """A source that rules cite, as it was recorded; the document is stored beside the log."""

    kind: Literal["terms"] = "terms"
    digest: Digest
    policy: str
    source: str
    nonce: str


class SnapshotEntry(_Entry):
    """The text of a source as it stood on a day, or a person's word that a changed one was read.

    The text itself stays in the workspace: the log holds its digest and where it came from.
    """

    kind: Literal["snapshot"] = "snapshot"
    action: Literal["import", "review"]
    source: str
    """`policy/source`."""
    text: Digest
    """sha256 of the text as it is kept."""
    origin: Literal["file", "url", "archive"]
    vantage: str
    """From where it was seen: an office, a region, an archive. Each vantage is a series of its own."""
    taken_at: str
    until: str
    """How long it is known to have stood: `taken_at` itself for a page seen once."""
    locator: str = ""
    """The address, the file's name, or `repository path commit` of an archive."""
    reason: str = ""
    nonce: str


class GrantEntry(_Entry):
    """A step in the life of a document that needs two people: a grant, an override, a student."""

    kind: Literal["grant"] = "grant"
    action: Literal["propose", "approve", "revoke"]
    subject: Literal["grant", "override", "student"]
    name: str
    digest: Digest
    is_self_approved: bool = False
    reason: str = ""
    nonce: str


class SourceEntry(_Entry):
    """Imported data was declared, with its rights, or may be used no more: what prompts are made of."""

    kind: Literal["source"] = "source"
    action: Literal["declare", "withdraw"]
    source: str
    """Its name: what a call says in `x-inbond-source`."""
    licence: str
    """An SPDX identifier or a `LicenseRef-…`."""
    may_train: bool
    """Whether, as declared, a student may learn from answers to it."""
    duties: list[str] = []
    """`kind: value`, sorted: what follows from its licence where a student learned."""
    digest: Digest | None = None
    """sha256 of the file, where one was given."""
    reason: str
    nonce: str


class ImportEntry(_Entry):
    """Examples that did not come through the proxy were admitted from a file; or a later word on them.

    Each line is a call that names this entry, and the exchange that ends it.
    """

    kind: Literal["import"] = "import"
    action: Literal["admit", "confirm", "withdraw"]
    """`confirm`: a person vouches for what is declared of the calls in somebody's log."""
    batch: str
    """The id of the entry that admitted them."""
    source: str
    """The `source` entry in force of the data."""
    name: str
    """That source's name."""
    origin: Literal["own", "open", "licensed", "teacher"]
    """Whose it is; `teacher`: answers of a model, as an earlier log has them."""
    licence: str
    project: str
    student: str | None = None
    evidence: list[Digest] = Field(min_length=1)
    """sha256 of the papers that it rests on, sorted; they are stored beside the log."""
    digest: Digest
    """sha256 of the file."""
    lines: int
    facts: dict[str, FactValue] = {}
    """What is declared of every line: route and model."""
    answered_at: str | None = None
    """When a teacher's answers are said to have been given."""
    reason: str
    nonce: str


class CallEntry(_Entry):
    """The intent to call a teacher, durable before the teacher sees a byte (P1).

    With `imported` it is somebody's word: the call was made elsewhere, or no model was called at all.
    """

    kind: Literal["call"] = "call"
    key: str
    """The client key's id, or the fingerprint of a passed-through key."""
    worker: str
    """The process that holds the call: if it dies, recovery ends its calls as `interrupted`."""
    student: str | None = None
    """The id of the declared student whose facts are stamped."""
    facts: dict[str, FactValue]
    request: SealRecord
    decision: DecisionRecord
    cleared_by: str | None = None
    """The `decision` or `judgement` entry that let a held call pass."""
    host: Host | None = None
    """The host of a call on route `unlisted`, which no contract names; None for every other."""
    line: LineRecord | None = None
    """Of a request that left in a batch."""
    parents: list[str] = []
    """The exchanges that the client says this call was made from."""
    sources: list[str] = []
    """The `source` entries that were in force of the sources it names."""
    retry_of: str | None = None
    """The call that this is another try of, where the client's SDK says so and the worker knows it."""
    imported: str | None = None
    """The `import` entry that brought it, where it did not come through the proxy."""


class ExchangeEntry(_Entry):
    """How a call ended, exactly one per call (P2)."""

    kind: Literal["exchange"] = "exchange"
    call: str
    outcome: Literal[
        "complete", "client_disconnected", "upstream_failed", "cut", "refused", "interrupted"
    ]
    status: int | None = None
    """The HTTP status of the teacher, or of our refusal."""
    facts: dict[str, FactValue] = {}
    usage: UsageRecord | None = None
    response_id: str | None = None
    continues: str | None = None
    """The provider's id of the answer that this one goes on from, where the provider holds it."""
    provider_request_id: str | None = None
    choices: int = 0
    is_whole: bool = False
    """The answer was read to its end and can be judged."""
    problem: str | None = None
    """A slug when the answer could not be read or recorded whole."""
    wire: SealRecord | None = None
    answer: SealRecord | None = None
    decision: DecisionRecord | None = None
    batch: BatchRecord | None = None
    brought_by: str | None = None
    """The call whose answer held this one: of a line of a batch."""
    upload: SealRecord | None = None
    """Of a request body that was sent on while it came in: all of it, sealed as it passed."""
    is_withheld: bool = False
    """The client did not get the answer: it was held (`delivery: buffer`), and a rule said no."""
    redacted: list[str] = []
    """What was masked in the stored copy of the answer, sorted: `wire` seals what came."""
    nonce: str


class DecisionEntry(_Entry):
    """A later change for one exchange: a clearance, its reversal, a rejection."""

    kind: Literal["decision"] = "decision"
    action: Literal["clear", "reject", "reverse"]
    exchange: str
    gate: Literal["request", "response", "dataset"]
    clears: list[str] = []
    """Organisation rules lifted for this exchange."""
    reason: str
    nonce: str


class JudgementEntry(_Entry):
    """A person supplied missing facts for one exchange."""

    kind: Literal["judgement"] = "judgement"
    exchange: str
    facts: dict[str, FactValue]
    reason: str
    nonce: str


class DatasetEntry(_Entry):
    """A dataset was sealed: what it holds, what it opened, for whom."""

    kind: Literal["dataset"] = "dataset"
    dataset: str
    student: str
    root: Digest
    """Over canonical rows."""
    rows: int
    manifest: Digest
    entries: Digest
    openings: Digest
    policies: list[Digest]
    terms: list[Digest]
    grants: list[Digest]
    decision_bundle: Digest
    valid_until: str
    recipient: str
    nonce: str


class RunEntry(_Entry):
    """A training run: its signed record and the weights it made."""

    kind: Literal["run"] = "run"
    run: str
    student: str
    datasets: list[Digest]
    """Roots."""
    record: Digest
    weights: dict[str, Digest]
    base: str
    steps: int
    nonce: str


class ReleaseEntry(_Entry):
    """A student was released; or somebody let what the organisation reviews at a release pass."""

    kind: Literal["release"] = "release"
    action: Literal["approve", "release"]
    release: str
    """The entry's own id."""
    student: str
    run: str
    """That made the weights."""
    ancestors: list[str] = []
    """The runs whose weights it began with, the nearest first."""
    datasets: list[Digest]
    """Roots of all that it and its ancestors learned from."""
    name: str | None = None
    """The name it is released under."""
    licence: str | None = None
    """An SPDX identifier or a `LicenseRef-…`; None where nobody gets the weights."""
    decision: DecisionRecord
    clears: list[str] = []
    """Rules of the organisation: what an approval lets pass, or what was let pass."""
    approval: str | None = None
    """The entry that let them pass."""
    is_self_approved: bool = False
    met_by: list[str] = []
    """What meets each of the decision's duties, in their order: `FILE sha256:HEX`, or a declaration."""
    files: Digest | None = None
    """sha256 of canonical JSON of the sha256 of each file, by path; of a release."""
    reason: str = ""
    nonce: str


class ExportEntry(_Entry):
    """An audit was made: what it holds, what it opened, for whom."""

    kind: Literal["export"] = "export"
    export: str
    query: dict[str, str]
    entries: Digest
    openings: Digest
    tables: dict[str, Digest]
    policies: list[Digest]
    terms: list[Digest]
    grants: list[Digest]
    recipient: str
    nonce: str


class StatusEntry(_Entry):
    """What a sealed dataset is worth since: still good, without some rows, or withdrawn for good."""

    kind: Literal["status"] = "status"
    dataset: str
    root: Digest
    state: Literal["good", "revoked", "withdrawn"]
    """`revoked`: today's policies allow some rows no more, and may allow them again."""
    cause: Literal["erasure", "grant", "terms", "policy", "exchange", "decision"] | None = None
    """What took it back; None where it is good."""
    affected: Digest
    """sha256 of the list of affected exchanges and why, stored beside the log."""
    count: int
    """Of the exchanges on that list."""
    until: str | None = None
    """How long a good one may be learned from without a newer status."""
    bundle: Digest | None = None
    """The policy bundle by which its rows were decided on again."""
    reason: str = ""
    nonce: str


class EraseEntry(_Entry):
    """Bodies were erased: their salts are gone. A large erasure has several parts."""

    kind: Literal["erase"] = "erase"
    erasure: str
    """The id of its first part."""
    ground: Literal["person", "provider", "retention"]
    """A person's request, a provider's demand, or the organisation's own retention."""
    reference: str = ""
    """An opaque reference to who asked, such as a ticket."""
    exchanges: list[str] = []
    seals: list[Digest] = []
    uploads: list[str] = []
    """The calls of uploads whose kept pieces are gone as well."""
    copies: dict[str, str] = {}
    """By the id of the `dataset` or `export` entry that disclosed them: the recipient."""
    deleted: list[str] = []
    """Those of them of which inbond's own copy was deleted."""
    runs: list[str] = []
    """The training runs that learned from them."""
    gone_by: str | None = None
    """When the last backup holds them no more; None where nobody said how long backups are kept."""
    reason: str
    nonce: str


class HoldEntry(_Entry):
    """What must be kept, or need be kept no more: a hold beats erasure and retention."""

    kind: Literal["hold"] = "hold"
    action: Literal["place", "lift"]
    hold: str
    """The id of the entry that placed it."""
    scope: Literal["exchange", "project", "student", "provider", "dataset", "everything"]
    subject: str
    """The id or name within the scope; empty for everything."""
    reason: str
    nonce: str


class ReconcileRecord(_Record):
    """What a provider's own usage export says beside the ledger, over days of UTC."""

    provider: str
    export: Digest
    """sha256 of the export's files, one after the other."""
    since: str
    until: str
    """The first and the last day."""
    matched: int
    """Rows of day, model and key on which both agree."""
    around: int
    """Rows of which the provider saw more than went through the proxy."""
    beyond: int
    """Rows of which the proxy saw more than the provider."""
    calls_around: int | None = None
    """None where the export counts no calls."""
    tokens_around: int = 0


class AdminEntry(_Entry):
    """An operator's act on the installation."""

    kind: Literal["admin"] = "admin"
    action: str
    reason: str = ""
    reconciled: ReconcileRecord | None = None
    """Of the action `reconcile`."""
    nonce: str


type Entry = Annotated[
    OpenEntry
    | KeyEntry
    | PolicyEntry
    | TermsEntry
    | SnapshotEntry
    | GrantEntry
    | SourceEntry
    | ImportEntry
    | CallEntry
    | ExchangeEntry
    | DecisionEntry
    | JudgementEntry
    | DatasetEntry
    | RunEntry
    | ReleaseEntry
    | ExportEntry
    | StatusEntry
    | EraseEntry
    | HoldEntry
    | AdminEntry,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[Entry] = TypeAdapter(Entry)


def exchange_of(call: str) -> str:
    """The id that the exchange of a call has: known before the call ends, and after a crash.

    Raises:
        ValueError: the id is no UUID.
    """
    return str(UUID(int=UUID(call).int ^ 1))


def parse_entry(leaf: bytes) -> Entry:
    """The entry a leaf holds.

    Raises:
        pydantic.ValidationError: the leaf is not an entry of this version.
    """
    return _ADAPTER.validate_json(leaf)
