"""The lines of batches, what answers said of batches, and files of requests that wait for one."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "batch_piece",
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("call", "place", name=op.f("pk_batch_piece")),
    )
    op.create_index(op.f("ix_batch_piece_at"), "batch_piece", ["at"], unique=False)
    op.create_table(
        "batch_line",
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("create_call", sa.String(length=64), nullable=False),
        sa.Column("custom", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["call"], ["call.id"], name=op.f("fk_batch_line_call_call")),
        sa.PrimaryKeyConstraint("call", name=op.f("pk_batch_line")),
        sa.UniqueConstraint("create_call", "custom", name=op.f("uq_batch_line_create_call_custom")),
    )
    op.create_table(
        "batch_word",
        sa.Column("seq", _COUNT, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("batch", sa.String(length=255), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["call"], ["call.id"], name=op.f("fk_batch_word_call_call")),
        sa.PrimaryKeyConstraint("seq", "kind", "name", name=op.f("pk_batch_word")),
    )
    op.create_index(op.f("ix_batch_word_name_kind"), "batch_word", ["name", "kind"], unique=False)
    op.create_index(op.f("ix_batch_word_call_kind"), "batch_word", ["call", "kind"], unique=False)


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    op.drop_index(op.f("ix_batch_word_call_kind"), "batch_word")
    op.drop_index(op.f("ix_batch_word_name_kind"), "batch_word")
    op.drop_table("batch_word")
    op.drop_table("batch_line")
    op.drop_index(op.f("ix_batch_piece_at"), "batch_piece")
    op.drop_table("batch_piece")
