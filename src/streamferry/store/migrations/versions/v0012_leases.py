"""How long a worker's lease is and who ends it, since when the store has answered, and the transaction of an event."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("length_ms", sa.BigInteger(), server_default="6500", nullable=False))
    op.add_column("worker", sa.Column("is_attached", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "pulse",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("server", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pulse"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # In two steps, so that no event is written anew: those that are there are of transactions that are over.
        op.execute("ALTER TABLE event ADD COLUMN xid xid8")
        op.execute("ALTER TABLE event ALTER COLUMN xid SET DEFAULT pg_current_xact_id()")
    else:
        op.add_column("event", sa.Column("xid", sa.BigInteger(), nullable=True))
