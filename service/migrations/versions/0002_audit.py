"""The audit, which only grows: the database itself refuses to change or delete a row of it."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

REFUSAL = "the audit is append-only"


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_act", "audit", ["act", "id"])
    op.create_index("audit_who", "audit", ["who", "id"])
    op.create_index("ix_audit_subject", "audit", ["subject"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "create function audit_refuse() returns trigger language plpgsql as "
            f"$$ begin raise exception '{REFUSAL}'; end $$"
        )
        op.execute(
            "create trigger audit_append_only before update or delete on audit "
            "for each row execute function audit_refuse()"
        )
        return
    for change in ("update", "delete"):
        op.execute(
            f"create trigger audit_no_{change} before {change} on audit begin select raise(abort, '{REFUSAL}'); end"
        )


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_table("audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop function audit_refuse()")
