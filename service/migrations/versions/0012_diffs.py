"""What two sealed versions differ in is counted once."""

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.create_table(
        "versiondiff",
        sa.Column("before_id", sa.BigInteger(), nullable=False),
        sa.Column("now_id", sa.BigInteger(), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["before_id"], ["datasetversion.id"]),
        sa.ForeignKeyConstraint(["now_id"], ["datasetversion.id"]),
        sa.PrimaryKeyConstraint("before_id", "now_id"),
    )


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_table("versiondiff")
