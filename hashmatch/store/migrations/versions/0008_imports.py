"""Imports, and what tells the hashes of an entry from those of another."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            autoincrement=True,
        ),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("bank_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("format", sa.Integer(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("approve_request", sa.Text(), nullable=False, server_default=""),
        sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("create_ms", sa.BigInteger(), nullable=False),
        sa.Column("update_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bank_seq"], ["banks.seq"], name=op.f("fk_imports_bank_seq")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_imports")),
        sa.UniqueConstraint("import_id", name=op.f("uq_imports_import_id")),
        sa.UniqueConstraint("request_id", name=op.f("uq_imports_request_id")),
        sqlite_autoincrement=True,
    )
    for column in (
        sa.Column("import_seq", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("left_batch", sa.BigInteger(), nullable=True),
    ):
        op.add_column("entries", column)
    for name in ("import_seq", "left_batch"):
        some = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            op.f(f"ix_entries_{name}"),
            "entries",
            [name],
            sqlite_where=some,
            postgresql_where=some,
        )
