"""The tables. Changed only by a migration in `store.migrations` (a test compares them).

Instants are integers, milliseconds of Unix time. ``seq`` columns are small stable numbers for the
index; ids are what callers see. Enumerations are stored as the numbers of `model`.
"""

from __future__ import annotations

import sqlalchemy as sa

__all__ = [
    "audit",
    "banks",
    "callers",
    "cases",
    "changes",
    "entries",
    "entry_signals",
    "imports",
    "judgements",
    "matched",
    "metadata",
    "screening_signals",
    "screenings",
    "store",
]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only for this one type.
_Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# One row. The id tells this store from any other, also from a copy that was set up anew.
store = sa.Table(
    "store",
    metadata,
    sa.Column("store_id", sa.Text, primary_key=True),
    # Changes up to this revision are no longer kept.
    sa.Column("compacted_revision", sa.BigInteger, nullable=False, server_default="0"),
)

banks = sa.Table(
    "banks",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("bank_id", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("action", sa.Integer, nullable=False),
    sa.Column("thresholds", sa.JSON, nullable=False),  # {kind: most differing bits}
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("create_ms", sa.BigInteger, nullable=False),
    sa.Column("update_ms", sa.BigInteger, nullable=False),
    sa.Column("activation", sa.Integer, nullable=False, server_default="1"),
    # A `BankPolicy`. Banks that were made before there was one block at any score.
    sa.Column("policy", sa.JSON, nullable=False, server_default='{"block_score": 0}'),
    sqlite_autoincrement=True,
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("entry_id", sa.Text, nullable=False, unique=True),
    sa.Column("bank_seq", sa.ForeignKey("banks.seq"), nullable=False, index=True),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("kinds", sa.JSON, nullable=False),  # [[kind, count, usable], …]
    # Of its media: null if it was made of hashes.
    sa.Column("coverage", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("coverage_reasons", sa.JSON, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("create_ms", sa.BigInteger, nullable=False),
    sa.Column("update_ms", sa.BigInteger, nullable=False),
    # The revision that many were created by at once; null if it was created alone.
    sa.Column("batch", sa.BigInteger, nullable=True, index=True),
    sa.Column("provenance", sa.JSON, nullable=False, server_default="{}"),
    # Ids of callers; empty where nobody was asked who he is.
    sa.Column("proposed_by", sa.Text, nullable=False, server_default=""),
    sa.Column("approved_by", sa.Text, nullable=False, server_default=""),
    sa.Column("expire_ms", sa.BigInteger, nullable=True),
    # The import that it came by; null if it came alone.
    sa.Column("import_seq", sa.BigInteger, nullable=True),
    # Of an import: tells its hashes from any other's; see `store.imports`.
    sa.Column("content", sa.LargeBinary, nullable=True),
    # The revision that many were withdrawn by at once; null if it was not.
    sa.Column("left_batch", sa.BigInteger, nullable=True),
    # Since when it is quarantined, and when a person ended that; see `usecases.flood_watch`.
    sa.Column("quarantine_ms", sa.BigInteger, nullable=True),
    sa.Column("release_ms", sa.BigInteger, nullable=True),
    sqlite_autoincrement=True,
)

# Few entries have these: an index of all would cost every list that is imported.
for _column in (
    entries.c.expire_ms,
    entries.c.import_seq,
    entries.c.left_batch,
    entries.c.quarantine_ms,
):
    sa.Index(
        f"ix_entries_{_column.name}",
        _column,
        sqlite_where=_column.is_not(None),
        postgresql_where=_column.is_not(None),
    )

# Lists that were imported, see `store.imports`.
imports = sa.Table(
    "imports",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("import_id", sa.Text, nullable=False, unique=True),
    sa.Column("bank_seq", sa.ForeignKey("banks.seq"), nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("format", sa.Integer, nullable=True),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("problems", sa.JSON, nullable=False),
    sa.Column("provenance", sa.JSON, nullable=False),
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("approved_by", sa.Text, nullable=False, server_default=""),
    sa.Column("approve_request", sa.Text, nullable=False, server_default=""),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("request_id", sa.Text, nullable=False, unique=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("create_ms", sa.BigInteger, nullable=False),
    sa.Column("update_ms", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# One row per entry and kind, never one per frame: see Signals.columns for the bytes.
entry_signals = sa.Table(
    "entry_signals",
    metadata,
    sa.Column("entry_seq", sa.ForeignKey("entries.seq"), primary_key=True),
    sa.Column("kind", sa.Integer, primary_key=True),
    sa.Column("digests", sa.LargeBinary, nullable=False),
    sa.Column("quality", sa.LargeBinary, nullable=False),
    sa.Column("pts_ms", sa.LargeBinary, nullable=False),
    sa.Column("view", sa.LargeBinary, nullable=False),
)

# Every change of the blocklist, in order. `after` is what the caller was answered.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("revision", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("bank_seq", sa.ForeignKey("banks.seq"), nullable=False),
    sa.Column("entry_seq", sa.ForeignKey("entries.seq"), nullable=True),
    sa.Column("request_id", sa.Text, nullable=False, unique=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("after", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)

# Who may call, see `store.callers`. `secret` is a hash of what is shown.
callers = sa.Table(
    "callers",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("caller_id", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("banks", sa.JSON(none_as_null=True), nullable=True),  # ids; null: all
    sa.Column("credential", sa.Integer, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("certificate", sa.Text, nullable=False),
    sa.Column("create_ms", sa.BigInteger, nullable=False),
    sa.Column("expire_ms", sa.BigInteger, nullable=True),
    sa.Column("revoke_ms", sa.BigInteger, nullable=True),
    sa.Column("request_id", sa.Text, nullable=False, unique=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

# What was done by whom, see `store.audit`. No row is ever changed or deleted: triggers of
# migration 0004 refuse it. `details` is JSON as it was hashed.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=True, index=True),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)

screenings = sa.Table(
    "screenings",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("screening_id", sa.Text, nullable=False, unique=True),
    sa.Column("create_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("verdict", sa.Integer, nullable=False, index=True),  # of the newest judgement
    sa.Column("sha256", sa.LargeBinary, nullable=False, index=True),
    sa.Column("media", sa.JSON, nullable=False),
    sa.Column("coverage", sa.JSON, nullable=False),
    # Why coverage is not complete: part of every judgement.
    sa.Column("coverage_reasons", sa.JSON, nullable=False),
    sa.Column("hash_versions", sa.JSON, nullable=False),  # {kind: version}
    # Whose it is; empty where callers are not asked who they are.
    sa.Column("caller", sa.Text, nullable=False, server_default="", index=True),
    # The secret that its frames were chosen by, 16 bytes, highest first: told to nobody. Null if
    # no frame was chosen here, or before there were seeds.
    sa.Column("seed", sa.LargeBinary, nullable=True),
    # What looked at it, see `Screening.look_version`. Null if not known: from before there was one.
    sa.Column("look_version", sa.Text, nullable=True),
    sqlite_autoincrement=True,
)

screening_signals = sa.Table(
    "screening_signals",
    metadata,
    sa.Column("screening_seq", sa.ForeignKey("screenings.seq"), primary_key=True),
    sa.Column("kind", sa.Integer, primary_key=True),
    sa.Column("digests", sa.LargeBinary, nullable=False),
    sa.Column("quality", sa.LargeBinary, nullable=False),
    sa.Column("pts_ms", sa.LargeBinary, nullable=False),
    sa.Column("view", sa.LargeBinary, nullable=False),
)

# The verdicts of a screening: the first, and one for each confirmation.
judgements = sa.Table(
    "judgements",
    metadata,
    sa.Column("screening_seq", sa.ForeignKey("screenings.seq"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("request_id", sa.Text, nullable=False, unique=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("verdict", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("elapsed_ms", sa.Float, nullable=False),
    sa.Column("unacted", sa.JSON, nullable=False, server_default="[]"),
)

# Which entries' evidence acts in the newest judgement of a screening, or did in an earlier one
# (action null): how often an entry matches, what it holds back, and what was seen by who decided.
# `media` tells files from each other; `at_ms` is when it was screened.
matched = sa.Table(
    "matched",
    metadata,
    sa.Column("screening_seq", sa.ForeignKey("screenings.seq"), primary_key=True),
    sa.Column("entry_id", sa.Text, primary_key=True),
    sa.Column("action", sa.Integer, nullable=True),
    sa.Column("media", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
    sa.Index("ix_matched_entry_id", "entry_id", "at_ms"),
)

# One of a screening at most, of an entry each time that it is quarantined.
cases = sa.Table(
    "cases",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("case_id", sa.Text, nullable=False, unique=True),
    sa.Column("type", sa.Integer, nullable=False),
    sa.Column("state", sa.Integer, nullable=False, index=True),
    sa.Column("screening_seq", sa.ForeignKey("screenings.seq"), nullable=True, unique=True),
    sa.Column("entry_seq", sa.ForeignKey("entries.seq"), nullable=True, index=True),
    sa.Column("create_ms", sa.BigInteger, nullable=False),
    sa.Column("open_ms", sa.BigInteger, nullable=False),
    sa.Column("decision", sa.Integer, nullable=True),
    sa.Column("decided_by", sa.Text, nullable=False, server_default=""),
    sa.Column("decide_ms", sa.BigInteger, nullable=True),
    sa.Column("why", sa.Text, nullable=False, server_default=""),
    # Of the request that decided it last.
    sa.Column("request_id", sa.Text, nullable=True, unique=True),
    sa.Column("fingerprint", sa.Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
