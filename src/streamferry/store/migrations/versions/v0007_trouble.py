"""What keeps a task from streaming, and since when."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("trouble_ms", sa.BigInteger(), nullable=True))
    op.add_column("run", sa.Column("trouble_fault", sa.String(24), nullable=True))
    op.add_column("run", sa.Column("trouble_reason", sa.Text(), nullable=True))
    op.add_column("run", sa.Column("trouble_tries", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_run_trouble_ms", "run", ["trouble_ms"])
