"""What people say of traces: tags, and taking the last thing said back."""

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.add_column("review", sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("review", sa.Column("withdraws", sa.BigInteger(), nullable=True))
    op.create_table(
        "tag",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("trace_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["trace_id"], ["trace.id"]),
        sa.PrimaryKeyConstraint("name", "trace_id"),
    )
    op.create_index(op.f("ix_tag_trace_id"), "tag", ["trace_id"])


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_table("tag")
    op.drop_column("review", "withdraws")
    op.drop_column("review", "tags")
