"""The audit trail. It begins with the revision that the blocklist is at."""

import hashlib
import json
import time

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    audit = op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_revision"), "audit", ["revision"])
    connection = op.get_bind()
    newest = connection.execute(sa.text("SELECT max(revision) FROM changes")).scalar() or 0
    said = [1, round(time.time() * 1000), "", "audit_begun", "", newest]
    details = json.dumps({"revision": newest}, separators=(",", ":"))
    text = json.dumps([*said, details], separators=(",", ":"))
    row = dict(zip(("seq", "at_ms", "actor", "action", "subject", "revision"), said, strict=True))
    digest = hashlib.sha256(bytes(32) + text.encode()).digest()
    op.bulk_insert(audit, [{**row, "details": details, "previous": bytes(32), "hash": digest}])
    if connection.dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        )
        return
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{what.lower()} BEFORE {what} ON audit BEGIN "
            "SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )
