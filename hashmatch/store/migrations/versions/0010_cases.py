"""Cases, what each entry holds back, and the quarantine of entries that match too much."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for name in ("quarantine_ms", "release_ms"):
        op.add_column("entries", sa.Column(name, sa.BigInteger(), nullable=True))
    some = sa.text("quarantine_ms IS NOT NULL")
    op.create_index(
        op.f("ix_entries_quarantine_ms"),
        "entries",
        ["quarantine_ms"],
        sqlite_where=some,
        postgresql_where=some,
    )
    op.create_table(
        "matched",
        sa.Column("screening_seq", _SEQUENCE, nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Integer(), nullable=True),
        sa.Column("media", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["screening_seq"], ["screenings.seq"], name=op.f("fk_matched_screening_seq")
        ),
        sa.PrimaryKeyConstraint("screening_seq", "entry_id", name=op.f("pk_matched")),
    )
    op.create_index(op.f("ix_matched_at_ms"), "matched", ["at_ms"])
    op.create_index("ix_matched_entry_id", "matched", ["entry_id", "at_ms"])
    op.create_table(
        "cases",
        sa.Column("seq", _SEQUENCE, nullable=False, autoincrement=True),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("screening_seq", _SEQUENCE, nullable=True),
        sa.Column("entry_seq", _SEQUENCE, nullable=True),
        sa.Column("create_ms", sa.BigInteger(), nullable=False),
        sa.Column("open_ms", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("decide_ms", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False, server_default=""),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(
            ["screening_seq"], ["screenings.seq"], name=op.f("fk_cases_screening_seq")
        ),
        sa.ForeignKeyConstraint(["entry_seq"], ["entries.seq"], name=op.f("fk_cases_entry_seq")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_cases")),
        sa.UniqueConstraint("case_id", name=op.f("uq_cases_case_id")),
        sa.UniqueConstraint("screening_seq", name=op.f("uq_cases_screening_seq")),
        sa.UniqueConstraint("request_id", name=op.f("uq_cases_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_cases_state"), "cases", ["state"])
    op.create_index(op.f("ix_cases_entry_seq"), "cases", ["entry_seq"])
