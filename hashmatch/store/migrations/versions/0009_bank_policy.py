"""What becomes of what a bank finds, and what was found without consequences."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column(
        "banks",
        sa.Column("policy", sa.JSON(), nullable=False, server_default='{"block_score": 0}'),
    )
    op.add_column(
        "judgements", sa.Column("unacted", sa.JSON(), nullable=False, server_default="[]")
    )
