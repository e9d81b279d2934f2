"""The tables: the log that is the truth, what stands beside it, and the views rebuilt from it.

Every row of a view comes from a leaf (`proxy.store.views`); `VIEWS` lists them in the order in which
rows may be inserted. Tallies and prompts (`proxy.store.counters`) are kept for a while and go. Enum values are stored as the leaf spells them, instants as stamps of one
width, so that text order is time order.
"""

from sqlalchemy import (
    BigInteger,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "SCHEMA",
    "VIEWS",
    "AnchorRow",
    "ApprovalRow",
    "BatchWordRow",
    "BodyRow",
    "CallRow",
    "CheckpointRow",
    "DatasetRow",
    "DecisionRow",
    "DocumentRow",
    "EntryRow",
    "ErasedRow",
    "ExchangeRow",
    "HoldRow",
    "JudgementRow",
    "KeyRow",
    "LeaseRow",
    "LineRow",
    "LogRow",
    "PieceRow",
    "PromptRow",
    "Row",
    "RunRow",
    "SaltRow",
    "StatusRow",
    "SubtreeRow",
    "TallyRow",
]

SCHEMA = "0005"
"""The revision of these tables; the newest migration carries the same."""

_DIGEST = String(64)
_ID = String(64)
_AT = String(24)
_WORD = String(32)
_NAME = String(255)
_COUNT = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite makes a key its row number only where the type says `INTEGER`."""


class _Blob(TypeDecorator[bytes]):
    """Bytes, also where somebody put text into the column: SQLite keeps what it is given."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: object, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        if value is None or isinstance(value, bytes):
            return value
        return str(value).encode(errors="replace")


class _Text(TypeDecorator[str]):
    """Text, also where somebody put something else into the column."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return value if value is None or isinstance(value, str) else repr(value)


class Row(DeclarativeBase):
    """A row of the ledger's database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class LogRow(Row):
    """The head of the log: the single row every append locks.

    Its `id` is 1; another one says that the log goes on in another database, and takes no entry here.
    """

    __tablename__ = "log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(_COUNT)
    frontier: Mapped[bytes] = mapped_column(_Blob)


class EntryRow(Row):
    """One leaf: its exact bytes, never written again, and its hash."""

    __tablename__ = "entry"
    __table_args__ = (Index(None, "kind", "seq"),)

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(_WORD)
    id: Mapped[str] = mapped_column(_ID, unique=True)
    leaf: Mapped[bytes] = mapped_column(_Blob)
    hash: Mapped[bytes] = mapped_column(_Blob)


class SubtreeRow(Row):
    """The root of finished subtree `idx` of 256**level leaves."""

    __tablename__ = "subtree"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    idx: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(_Blob)


class SaltRow(Row):
    """The 32 bytes that open a seal: deleting them erases what it sealed (promise P8)."""

    __tablename__ = "salt"

    seal: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    salt: Mapped[bytes] = mapped_column(_Blob)


class BodyRow(Row):
    """A sealed body: compressed, then encrypted under its salt."""

    __tablename__ = "body"

    seal: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    blob: Mapped[bytes] = mapped_column(_Blob)


class DocumentRow(Row):
    """A public text that leaves name by its digest: policy, terms or grant."""

    __tablename__ = "document"

    digest: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    kind: Mapped[str] = mapped_column(_WORD)
    content: Mapped[bytes] = mapped_column(_Blob)


class CheckpointRow(Row):
    """A signed note over the first `size` leaves; all are kept."""

    __tablename__ = "checkpoint"

    size: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    note: Mapped[str] = mapped_column(_Text)


class AnchorRow(Row):
    """Someone else's word on the checkpoint of `size` leaves."""

    __tablename__ = "anchor"

    size: Mapped[int] = mapped_column(_COUNT, ForeignKey("checkpoint.size"), primary_key=True)
    kind: Mapped[str] = mapped_column(_WORD, primary_key=True)
    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    proof: Mapped[bytes] = mapped_column(_Blob)


class TallyRow(Row):
    """How much one group of a counter counted in the stretch of time that ends at `ends`.

    Times are whole seconds since 1970 (UTC); at `expires` no counter looks back that far.
    """

    __tablename__ = "tally"
    # Rows lie in the order of their key: a counter reads those of one group, one after another.
    __table_args__ = (Index(None, "expires"), {"sqlite_with_rowid": False})

    key: Mapped[bytes] = mapped_column(_Blob, primary_key=True)
    ends: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    amount: Mapped[int] = mapped_column(_COUNT)
    expires: Mapped[int] = mapped_column(_COUNT)


class PromptRow(Row):
    """A prompt that a counter of distinct prompts knows, by keyed digest: when it was sent last."""

    __tablename__ = "prompt"
    __table_args__ = (Index(None, "expires"), {"sqlite_with_rowid": False})

    key: Mapped[bytes] = mapped_column(_Blob, primary_key=True)
    digest: Mapped[bytes] = mapped_column(_Blob, primary_key=True)
    ends: Mapped[int] = mapped_column(_COUNT)
    expires: Mapped[int] = mapped_column(_COUNT)


class PieceRow(Row):
    """Whole lines of a file of requests, compressed and encrypted: kept until a batch is made of it.

    `call` is the upload. No leaf names a piece: the seal of the whole upload covers its bytes.
    """

    __tablename__ = "batch_piece"
    __table_args__ = (Index(None, "at"),)

    call: Mapped[str] = mapped_column(_ID, primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(_AT)
    salt: Mapped[bytes] = mapped_column(_Blob)
    blob: Mapped[bytes] = mapped_column(_Blob)


class LeaseRow(Row):
    """A worker of some host, and when it was heard of last: whole seconds since 1970 (UTC)."""

    __tablename__ = "lease"

    worker: Mapped[str] = mapped_column(_ID, primary_key=True)
    host: Mapped[str] = mapped_column(_ID)
    seen: Mapped[int] = mapped_column(_COUNT)


class CallRow(Row):
    """View: one `call`. `verdict` is that of the request gate."""

    __tablename__ = "call"
    __table_args__ = (
        Index(None, "project", "seq"),
        Index(None, "verdict", "seq"),
        Index(None, "route", "seq"),
    )

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(_ID, unique=True)
    at: Mapped[str] = mapped_column(_AT)
    worker: Mapped[str] = mapped_column(_ID)
    key: Mapped[str] = mapped_column(_ID)
    project: Mapped[str | None] = mapped_column(_NAME)
    route: Mapped[str | None] = mapped_column(_NAME)
    model_id: Mapped[str | None] = mapped_column(_NAME)
    verdict: Mapped[str] = mapped_column(_WORD)
    request_seal: Mapped[str] = mapped_column(_DIGEST)


class ExchangeRow(Row):
    """View: one `exchange`. `verdict` is that of the response gate; None where none was reached."""

    __tablename__ = "exchange"
    __table_args__ = (Index(None, "verdict", "seq"),)

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(_ID, unique=True)
    # INVARIANT: an exchange ends a known call, and a call ends once (promise P2).
    call: Mapped[str] = mapped_column(_ID, ForeignKey("call.id"), unique=True)
    at: Mapped[str] = mapped_column(_AT)
    outcome: Mapped[str] = mapped_column(_WORD)
    verdict: Mapped[str | None] = mapped_column(_WORD)
    is_whole: Mapped[bool]
    model_id: Mapped[str | None] = mapped_column(_NAME)
    answer_seal: Mapped[str | None] = mapped_column(_DIGEST)
    wire_seal: Mapped[str | None] = mapped_column(_DIGEST)
    is_settled: Mapped[bool]
    """Whether a person has decided since: cleared, rejected or judged, and not reversed."""


class LineRow(Row):
    """View: a call that left as a line of a batch, by the keyed digest of its id there."""

    __tablename__ = "batch_line"
    __table_args__ = (UniqueConstraint("create_call", "custom"),)

    call: Mapped[str] = mapped_column(_ID, ForeignKey("call.id"), primary_key=True)
    create_call: Mapped[str] = mapped_column(_ID)
    custom: Mapped[str] = mapped_column(_DIGEST)


class BatchWordRow(Row):
    """View: one id that an answer named: a `batch`, an `input`, an `output`, or what was `read`."""

    __tablename__ = "batch_word"
    __table_args__ = (Index(None, "name", "kind"), Index(None, "call", "kind"))

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(_WORD, primary_key=True)
    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    call: Mapped[str] = mapped_column(_ID, ForeignKey("call.id"))
    batch: Mapped[str | None] = mapped_column(_NAME)
    """The batch that the answer spoke of; None where it spoke of a file alone."""
    state: Mapped[str | None] = mapped_column(_WORD)


class DecisionRow(Row):
    """View: a later change for one exchange."""

    __tablename__ = "decision"
    __table_args__ = (Index(None, "exchange", "gate", "seq"),)

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(_ID, unique=True)
    at: Mapped[str] = mapped_column(_AT)
    exchange: Mapped[str] = mapped_column(_ID, ForeignKey("exchange.id"))
    gate: Mapped[str] = mapped_column(_WORD)
    action: Mapped[str] = mapped_column(_WORD)


class JudgementRow(Row):
    """View: facts that a person supplied for one exchange."""

    __tablename__ = "judgement"
    __table_args__ = (Index(None, "exchange", "seq"),)

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(_ID, unique=True)
    at: Mapped[str] = mapped_column(_AT)
    exchange: Mapped[str] = mapped_column(_ID, ForeignKey("exchange.id"))


class KeyRow(Row):
    """View: a key, and whether it was revoked. `digest` is a client key's sha256."""

    __tablename__ = "client_key"

    key: Mapped[str] = mapped_column(_ID, primary_key=True)
    role: Mapped[str] = mapped_column(_WORD)
    digest: Mapped[str | None] = mapped_column(_DIGEST, unique=True)
    public: Mapped[str | None]
    project: Mapped[str | None] = mapped_column(_NAME)
    student: Mapped[str | None] = mapped_column(_NAME)
    at: Mapped[str] = mapped_column(_AT)
    is_revoked: Mapped[bool]


class ApprovalRow(Row):
    """View: where a document that needs two people stands."""

    __tablename__ = "approval"

    digest: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    subject: Mapped[str] = mapped_column(_WORD)
    name: Mapped[str] = mapped_column(_NAME)
    state: Mapped[str] = mapped_column(_WORD)
    """`proposed`, `approved` or `revoked`."""
    proposed_by: Mapped[str | None] = mapped_column(_NAME)
    proposed_at: Mapped[str | None] = mapped_column(_AT)
    approved_by: Mapped[str | None] = mapped_column(_NAME)
    approved_at: Mapped[str | None] = mapped_column(_AT)
    revoked_by: Mapped[str | None] = mapped_column(_NAME)
    revoked_at: Mapped[str | None] = mapped_column(_AT)


class DatasetRow(Row):
    """View: a sealed dataset."""

    __tablename__ = "dataset"

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    dataset: Mapped[str] = mapped_column(_NAME, index=True)
    root: Mapped[str] = mapped_column(_DIGEST, index=True)
    student: Mapped[str] = mapped_column(_NAME)


class RunRow(Row):
    """View: a training run."""

    __tablename__ = "run"

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    run: Mapped[str] = mapped_column(_NAME, index=True)
    student: Mapped[str] = mapped_column(_NAME)


class ErasedRow(Row):
    """View: an exchange whose bodies an `erase` entry erased."""

    __tablename__ = "erased"

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    exchange: Mapped[str] = mapped_column(
        _ID, ForeignKey("exchange.id"), primary_key=True, index=True
    )


class HoldRow(Row):
    """View: a hold, and whether it was lifted. `seq` is of its last entry."""

    __tablename__ = "hold"

    hold: Mapped[str] = mapped_column(_ID, primary_key=True)
    seq: Mapped[int] = mapped_column(_COUNT)
    scope: Mapped[str] = mapped_column(_WORD)
    subject: Mapped[str] = mapped_column(_NAME)
    is_lifted: Mapped[bool]


class StatusRow(Row):
    """View: what was said of a sealed dataset since."""

    __tablename__ = "dataset_status"

    seq: Mapped[int] = mapped_column(_COUNT, primary_key=True, autoincrement=False)
    dataset: Mapped[str] = mapped_column(_NAME, index=True)
    state: Mapped[str] = mapped_column(_WORD)


VIEWS: tuple[type[Row], ...] = (
    CallRow,
    ExchangeRow,
    LineRow,
    BatchWordRow,
    DecisionRow,
    JudgementRow,
    KeyRow,
    ApprovalRow,
    DatasetRow,
    RunRow,
    ErasedRow,
    HoldRow,
    StatusRow,
)
