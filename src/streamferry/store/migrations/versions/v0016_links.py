"""What was lost while destinations were away, and how connections to them are doing."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("lost_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("run", sa.Column("rtt_ms", sa.Float(), nullable=True))
    op.add_column("run", sa.Column("retransmits", sa.BigInteger(), nullable=True))
    op.add_column("run", sa.Column("delivery_kbps", sa.BigInteger(), nullable=True))
    op.add_column("run", sa.Column("server_ack_s", sa.Float(), nullable=True))
