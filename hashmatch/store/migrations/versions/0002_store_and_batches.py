"""A name for the store, and the entries that were created many at once."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    store = op.create_table(
        "store",
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_store")),
    )
    op.bulk_insert(store, [{"store_id": secrets.token_hex(16)}])
    op.add_column("entries", sa.Column("batch", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_entries_batch"), "entries", ["batch"])
