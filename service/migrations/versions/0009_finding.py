"""What is rare among millions is found by an index: the traces with a reason, the traces of a teacher.

Both are built in seconds a million rows.
"""

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.create_index("verdict_reason", "verdict", ["reason", "trace_id", "version_id"])
    op.create_index("trace_teacher", "trace", ["teacher", "id"])


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_index("trace_teacher", "trace")
    op.drop_index("verdict_reason", "verdict")
