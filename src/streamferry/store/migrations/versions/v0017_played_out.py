"""When the list of a task that nobody has will be played out."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("played_out_ms", sa.BigInteger(), nullable=True))
