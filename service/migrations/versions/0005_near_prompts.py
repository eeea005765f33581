"""What of a version's prompts is nearly the same, and was kept in one split."""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    with op.batch_alter_table("datasetversion", schema=None) as batch_op:
        batch_op.add_column(sa.Column("near_prompts", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take the column back."""
    with op.batch_alter_table("datasetversion", schema=None) as batch_op:
        batch_op.drop_column("near_prompts")
