"""How far the log of changes was cut."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "store",
        sa.Column("compacted_revision", sa.BigInteger(), nullable=False, server_default="0"),
    )
