"""What was erased, what is held, what was said of datasets since; calls by route."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_index(op.f("ix_call_route_seq"), "call", ["route", "seq"], unique=False)
    op.create_table(
        "erased",
        sa.Column("seq", _COUNT, autoincrement=False, nullable=False),
        sa.Column("exchange", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange"], ["exchange.id"], name=op.f("fk_erased_exchange_exchange")
        ),
        sa.PrimaryKeyConstraint("seq", "exchange", name=op.f("pk_erased")),
    )
    op.create_index(op.f("ix_erased_exchange"), "erased", ["exchange"], unique=False)
    op.create_table(
        "hold",
        sa.Column("hold", sa.String(length=64), nullable=False),
        sa.Column("seq", _COUNT, nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("is_lifted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("hold", name=op.f("pk_hold")),
    )
    op.create_table(
        "dataset_status",
        sa.Column("seq", _COUNT, autoincrement=False, nullable=False),
        sa.Column("dataset", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_dataset_status")),
    )
    op.create_index(op.f("ix_dataset_status_dataset"), "dataset_status", ["dataset"], unique=False)


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    op.drop_index(op.f("ix_dataset_status_dataset"), "dataset_status")
    op.drop_table("dataset_status")
    op.drop_table("hold")
    op.drop_index(op.f("ix_erased_exchange"), "erased")
    op.drop_table("erased")
    op.drop_index(op.f("ix_call_route_seq"), "call")
