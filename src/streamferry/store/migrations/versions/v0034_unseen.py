"""What of the content of a task cannot be watched though that is asked for, and inputs that could not be shown."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("unseen", sa.Text(), nullable=True))
    op.add_column("run", sa.Column("unready", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "unready")
    op.drop_column("run", "unseen")
