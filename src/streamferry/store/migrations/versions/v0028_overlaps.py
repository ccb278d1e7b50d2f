"""Hand-over with overlap: which tasks may have two publishers for a moment, and which worker is the next one."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task", sa.Column("overlaps", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("run", sa.Column("next_worker_id", sa.String(64), nullable=True))
    op.create_index(op.f("ix_run_next_worker_id"), "run", ["next_worker_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_run_next_worker_id"), table_name="run")
    op.drop_column("run", "next_worker_id")
    op.drop_column("task", "overlaps")
