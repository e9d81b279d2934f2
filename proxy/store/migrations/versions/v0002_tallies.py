"""The tallies of counters, and the prompts that counters of distinct prompts know."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "tally",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("ends", _COUNT, autoincrement=False, nullable=False),
        sa.Column("amount", _COUNT, nullable=False),
        sa.Column("expires", _COUNT, nullable=False),
        sa.PrimaryKeyConstraint("key", "ends", name=op.f("pk_tally")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_tally_expires"), "tally", ["expires"], unique=False)
    op.create_table(
        "prompt",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("ends", _COUNT, nullable=False),
        sa.Column("expires", _COUNT, nullable=False),
        sa.PrimaryKeyConstraint("key", "digest", name=op.f("pk_prompt")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_prompt_expires"), "prompt", ["expires"], unique=False)


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    op.drop_index(op.f("ix_prompt_expires"), "prompt")
    op.drop_table("prompt")
    op.drop_index(op.f("ix_tally_expires"), "tally")
    op.drop_table("tally")
