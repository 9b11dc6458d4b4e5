"""Who proposed and approved an entry, why it is there, and until when."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column(
        "banks", sa.Column("activation", sa.Integer(), nullable=False, server_default="1")
    )
    for column in (
        sa.Column("provenance", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("proposed_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("approved_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("expire_ms", sa.BigInteger(), nullable=True),
    ):
        op.add_column("entries", column)
    some = sa.text("expire_ms IS NOT NULL")
    op.create_index(
        op.f("ix_entries_expire_ms"),
        "entries",
        ["expire_ms"],
        sqlite_where=some,
        postgresql_where=some,
    )
