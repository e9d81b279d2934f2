"""The tables of the ledger, its bodies and its views."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EMPTY_FRONTIER = bytes(8)


def upgrade() -> None:
    """Bring the tables to this revision."""
    _create_log()
    _create_contents()
    _create_calls()
    _create_other_views()


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    op.drop_index(op.f("ix_judgement_exchange_seq"), "judgement")
    op.drop_table("judgement")
    op.drop_index(op.f("ix_decision_exchange_gate_seq"), "decision")
    op.drop_table("decision")
    op.drop_index(op.f("ix_exchange_verdict_seq"), "exchange")
    op.drop_table("exchange")
    op.drop_table("anchor")
    op.drop_table("subtree")
    op.drop_table("salt")
    op.drop_index(op.f("ix_run_run"), "run")
    op.drop_table("run")
    op.drop_table("log")
    op.drop_index(op.f("ix_entry_kind_seq"), "entry")
    op.drop_table("entry")
    op.drop_table("document")
    op.drop_index(op.f("ix_dataset_root"), "dataset")
    op.drop_index(op.f("ix_dataset_dataset"), "dataset")
    op.drop_table("dataset")
    op.drop_table("client_key")
    op.drop_table("checkpoint")
    op.drop_index(op.f("ix_call_verdict_seq"), "call")
    op.drop_index(op.f("ix_call_project_seq"), "call")
    op.drop_table("call")
    op.drop_table("body")
    op.drop_table("approval")


def _create_log() -> None:
    log = op.create_table(
        "log",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", _COUNT, nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log")),
    )
    op.bulk_insert(log, [{"id": 1, "size": 0, "frontier": _EMPTY_FRONTIER}])
    op.create_table(
        "entry",
        sa.Column(
            "seq",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_entry")),
        sa.UniqueConstraint("id", name=op.f("uq_entry_id")),
    )
    op.create_index(op.f("ix_entry_kind_seq"), "entry", ["kind", "seq"], unique=False)
    op.create_table(
        "subtree",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "idx",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "idx", name=op.f("pk_subtree")),
    )
    op.create_table(
        "checkpoint",
        sa.Column(
            "size",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoint")),
    )
    op.create_table(
        "anchor",
        sa.Column("size", _COUNT, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["size"], ["checkpoint.size"], name=op.f("fk_anchor_size_checkpoint")
        ),
        sa.PrimaryKeyConstraint("size", "kind", "name", name=op.f("pk_anchor")),
    )


def _create_contents() -> None:
    op.create_table(
        "salt",
        sa.Column("seal", sa.String(length=64), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seal", name=op.f("pk_salt")),
    )
    op.create_table(
        "body",
        sa.Column("seal", sa.String(length=64), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seal", name=op.f("pk_body")),
    )
    op.create_table(
        "document",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_document")),
    )


def _create_calls() -> None:
    op.create_table(
        "call",
        sa.Column(
            "seq",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=True),
        sa.Column("route", sa.String(length=255), nullable=True),
        sa.Column("model_id", sa.String(length=255), nullable=True),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("request_seal", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_call")),
        sa.UniqueConstraint("id", name=op.f("uq_call_id")),
    )
    op.create_index(op.f("ix_call_project_seq"), "call", ["project", "seq"], unique=False)
    op.create_index(op.f("ix_call_verdict_seq"), "call", ["verdict", "seq"], unique=False)
    op.create_table(
        "exchange",
        sa.Column(
            "seq",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=True),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.Column("model_id", sa.String(length=255), nullable=True),
        sa.Column("answer_seal", sa.String(length=64), nullable=True),
        sa.Column("wire_seal", sa.String(length=64), nullable=True),
        sa.Column("is_settled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["call"], ["call.id"], name=op.f("fk_exchange_call_call")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_exchange")),
        sa.UniqueConstraint("call", name=op.f("uq_exchange_call")),
        sa.UniqueConstraint("id", name=op.f("uq_exchange_id")),
    )
    op.create_index(op.f("ix_exchange_verdict_seq"), "exchange", ["verdict", "seq"], unique=False)
    op.create_table(
        "decision",
        sa.Column(
            "seq",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("exchange", sa.String(length=64), nullable=False),
        sa.Column("gate", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange"], ["exchange.id"], name=op.f("fk_decision_exchange_exchange")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_decision")),
        sa.UniqueConstraint("id", name=op.f("uq_decision_id")),
    )
    op.create_index(
        op.f("ix_decision_exchange_gate_seq"), "decision", ["exchange", "gate", "seq"], unique=False
    )
    op.create_table(
        "judgement",
        sa.Column(
            "seq",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("exchange", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange"], ["exchange.id"], name=op.f("fk_judgement_exchange_exchange")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_judgement")),
        sa.UniqueConstraint("id", name=op.f("uq_judgement_id")),
    )
    op.create_index(
        op.f("ix_judgement_exchange_seq"), "judgement", ["exchange", "seq"], unique=False
    )


def _create_other_views() -> None:
    op.create_table(
        "client_key",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("public", sa.String(), nullable=True),
        sa.Column("project", sa.String(length=255), nullable=True),
        sa.Column("student", sa.String(length=255), nullable=True),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("is_revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_client_key")),
        sa.UniqueConstraint("digest", name=op.f("uq_client_key_digest")),
    )
    op.create_table(
        "approval",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("proposed_by", sa.String(length=255), nullable=True),
        sa.Column("proposed_at", sa.String(length=24), nullable=True),
        sa.Column("approved_by", sa.String(length=255), nullable=True),
        sa.Column("approved_at", sa.String(length=24), nullable=True),
        sa.Column("revoked_by", sa.String(length=255), nullable=True),
        sa.Column("revoked_at", sa.String(length=24), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_approval")),
    )
    op.create_table(
        "dataset",
        sa.Column(
            "seq",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("dataset", sa.String(length=255), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("student", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_dataset")),
    )
    op.create_index(op.f("ix_dataset_dataset"), "dataset", ["dataset"], unique=False)
    op.create_index(op.f("ix_dataset_root"), "dataset", ["root"], unique=False)
    op.create_table(
        "run",
        sa.Column(
            "seq",
            _COUNT,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("run", sa.String(length=255), nullable=False),
        sa.Column("student", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_run")),
    )
    op.create_index(op.f("ix_run_run"), "run", ["run"], unique=False)
