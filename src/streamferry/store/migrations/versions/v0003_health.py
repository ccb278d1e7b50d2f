"""What workers cost, and more of what runs do."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("kbps_in", sa.Integer(), server_default="0", nullable=False))
    op.add_column("run", sa.Column("media_time_ms", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("run", sa.Column("bytes_in", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("run", sa.Column("bytes_out", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("run", sa.Column("repairs", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("run", sa.Column("preparing_percent", sa.Float(), nullable=True))
    op.add_column("worker", sa.Column("health", sa.Text(), nullable=True))
