"""What workers of several hosts say of themselves to the database that they share."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "lease",
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("seen", _COUNT, nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_lease")),
    )


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    op.drop_table("lease")
