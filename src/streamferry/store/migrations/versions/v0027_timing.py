"""What passes decide by, so that they open no spec."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task_spec", sa.Column("timing", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("task_spec", "timing")
