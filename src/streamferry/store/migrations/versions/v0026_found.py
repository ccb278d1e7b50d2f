"""What is wrong with the content of a task that is watched."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("found", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "found")
