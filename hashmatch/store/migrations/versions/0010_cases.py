"""Cases, what each entry holds back, and the quarantine of entries that match too much."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_AT_ONCE = 500
_REVIEW = 2

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
    _fill()


def _fill() -> None:
    """What was held back before has cases too, and is opened again when its entries go."""
    connection = op.get_bind()
    newest = sa.text(
        "SELECT s.seq, s.screening_id, s.verdict, s.sha256, s.create_ms, j.at_ms, j.evidence "
        "FROM screenings s JOIN judgements j ON j.screening_seq = s.seq "
        "WHERE s.seq > :after AND s.verdict IN (2, 3) AND j.number = "
        "(SELECT max(n.number) FROM judgements n WHERE n.screening_seq = s.seq) "
        "ORDER BY s.seq LIMIT :most"
    ).columns(evidence=sa.JSON(), sha256=sa.LargeBinary())
    after = 0
    while rows := connection.execute(newest, {"after": after, "most": _AT_ONCE}).all():
        after = rows[-1].seq
        held, opened = [], []
        for row in rows:
            acting: dict[str, int] = {}
            for each in row.evidence:
                entry_id = each["entry"]["entry_id"]
                acting[entry_id] = max(each["action"], acting.get(entry_id, 0))
            same = {
                "screening_seq": row.seq,
                "media": bytes(row.sha256).hex() or row.screening_id,
                "at_ms": row.create_ms,
            }
            held += [{"entry_id": name, "action": act, **same} for name, act in acting.items()]
            if row.verdict == _REVIEW:
                case_id = "cas_" + row.screening_id.removeprefix("scr_")
                opened.append({"case_id": case_id, "seq": row.seq, "at_ms": row.at_ms})
        if held:
            connection.execute(
                sa.text(
                    "INSERT INTO matched (screening_seq, entry_id, action, media, at_ms) "
                    "VALUES (:screening_seq, :entry_id, :action, :media, :at_ms)"
                ),
                held,
            )
        if opened:
            connection.execute(
                sa.text(
                    "INSERT INTO cases (case_id, type, state, screening_seq, create_ms, open_ms) "
                    "VALUES (:case_id, 1, 1, :seq, :at_ms, :at_ms)"
                ),
                opened,
            )
