"""Callers, and whose screening one is."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "callers",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            autoincrement=True,
        ),
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("banks", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("credential", sa.Integer(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("create_ms", sa.BigInteger(), nullable=False),
        sa.Column("expire_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoke_ms", sa.BigInteger(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_callers")),
        sa.UniqueConstraint("caller_id", name=op.f("uq_callers_caller_id")),
        sa.UniqueConstraint("name", name=op.f("uq_callers_name")),
        sa.UniqueConstraint("secret", name=op.f("uq_callers_secret")),
        sa.UniqueConstraint("request_id", name=op.f("uq_callers_request_id")),
        sqlite_autoincrement=True,
    )
    op.add_column("screenings", sa.Column("caller", sa.Text(), nullable=False, server_default=""))
    op.create_index(op.f("ix_screenings_caller"), "screenings", ["caller"])
