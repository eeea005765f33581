"""The name and hash of the file that a batch's prompts were read from."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.add_column(sa.Column("submitted", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take the column back."""
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.drop_column("submitted")
