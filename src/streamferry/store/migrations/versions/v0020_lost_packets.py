"""How many packets of a live source never came."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("lost_packets", sa.BigInteger(), nullable=False, server_default="0"))
