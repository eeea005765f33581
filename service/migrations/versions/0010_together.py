"""Postgres learns that outcome and reason of a verdict hang together: it took both for rarer than they are."""

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("create statistics verdict_outcome_reason (mcv) on version_id, outcome, reason from verdict")
        op.execute("analyze verdict")


def downgrade() -> None:
    """Take the tables back to the revision before."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("drop statistics verdict_outcome_reason")
