"""Runs on uploaded files, and runs of several processes."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.add_column("run", sa.Column("files", sa.JSON(), nullable=True))
    op.add_column("run", sa.Column("launch", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take the tables back."""
    op.drop_column("run", "launch")
    op.drop_column("run", "files")
