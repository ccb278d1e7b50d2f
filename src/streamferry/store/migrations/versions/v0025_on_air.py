"""What is on air, of a task with several inputs or a slate."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("on_air", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "on_air")
