"""What receivers of callbacks refuse: answers that are refusals, addresses that are gone, and which address fails."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery", sa.Column("refusals", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("mailbox", sa.Column("gone_ms", sa.BigInteger(), nullable=True))
    op.add_column("mailbox", sa.Column("address_digest", sa.String(length=32), nullable=False, server_default=""))
    # Addresses are sealed, and a migration has no key: until a task is changed its host stands for its address.
    op.execute("UPDATE mailbox SET address_digest = host_digest")
    for table, column in (("delivery", "refusals"), ("mailbox", "address_digest")):
        with op.batch_alter_table(table) as batch:
            batch.alter_column(column, server_default=None)
