"""Several destinations of a task: by which digests others find them, and how each is doing."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "task_destination",
        sa.Column("task_id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "digest", name="pk_task_destination"),
    )
    op.create_index("ix_task_destination_digest", "task_destination", ["digest"], unique=False)
    op.add_column("run", sa.Column("destinations", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "destinations")
    op.drop_table("task_destination")
