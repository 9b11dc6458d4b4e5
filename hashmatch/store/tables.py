"""The tables. Changed only by a migration in `store.migrations` (a test compares them).

A column's type says what code reads and writes, and how a database keeps it: see `store.types`.
Where code has another name for a column than the database, that is its ``key``. ``seq`` columns are
small stable numbers for the index; ids are what callers see.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from hashmatch.model.callers import Credential, Role
from hashmatch.model.cases import CaseDecision, CaseState, CaseType
from hashmatch.model.changes import ChangeKind
from hashmatch.model.imports import Format, ImportProblem, ImportState
from hashmatch.model.records import (
    BankPolicy,
    Coverage,
    Evidence,
    MediaInfo,
    Provenance,
    Reason,
)
from hashmatch.model.verdicts import (
    Action,
    Activation,
    BankState,
    EntryState,
    Kind,
    Verdict,
)
from hashmatch.store.types import Instant, Json, KindCounts, Name, Number, Seed

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
    sa.Column("action", Number(Action), nullable=False),
    # Most differing bits.
    sa.Column("thresholds", Json(Mapping[Kind, int]), nullable=False),
    sa.Column("state", Number(BankState), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("create_ms", Instant, key="create_time", nullable=False),
    sa.Column("update_ms", Instant, key="update_time", nullable=False),
    sa.Column("activation", Number(Activation), nullable=False, server_default="1"),
    # A `BankPolicy`. Banks that were made before there was one block at any score.
    sa.Column("policy", Json(BankPolicy), nullable=False, server_default='{"block_score": 0}'),
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
    sa.Column("state", Number(EntryState), nullable=False),
    sa.Column("kinds", Json(KindCounts), nullable=False),  # [[kind, count, usable], …]
    # Of its media: null if it was made of hashes.
    sa.Column("coverage", Json(Coverage), nullable=True),
    sa.Column("coverage_reasons", Json(tuple[Reason, ...]), key="reasons", nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("create_ms", Instant, key="create_time", nullable=False),
    sa.Column("update_ms", Instant, key="update_time", nullable=False),
    # The revision that many were created by at once; null if it was created alone.
    sa.Column("batch", sa.BigInteger, nullable=True, index=True),
    sa.Column("provenance", Json(Provenance), nullable=False, server_default="{}"),
    # Ids of callers; empty where nobody was asked who he is.
    sa.Column("proposed_by", sa.Text, nullable=False, server_default=""),
    sa.Column("approved_by", sa.Text, nullable=False, server_default=""),
    sa.Column("expire_ms", Instant, key="expire_time", nullable=True),
    # The import that it came by; null if it came alone.
    sa.Column("import_seq", sa.BigInteger, nullable=True),
    # Of an import: tells its hashes from any other's; see `store.imports`.
    sa.Column("content", sa.LargeBinary, nullable=True),
    # The revision that many were withdrawn by at once; null if it was not.
    sa.Column("left_batch", sa.BigInteger, nullable=True),
    # Since when it is quarantined, and when a person ended that; see `usecases.flood_watch`.
    sa.Column("quarantine_ms", Instant, key="quarantine_time", nullable=True),
    sa.Column("release_ms", Instant, key="release_time", nullable=True),
    sqlite_autoincrement=True,
)

# Few entries have these: an index of all would cost every list that is imported.
for _column in (
    entries.c.expire_time,
    entries.c.import_seq,
    entries.c.left_batch,
    entries.c.quarantine_time,
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
    sa.Column("state", Number(ImportState), nullable=False),
    sa.Column("format", Number(Format), nullable=True),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("problems", Json(tuple[ImportProblem, ...]), nullable=False),
    sa.Column("provenance", Json(Provenance), nullable=False),
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("approved_by", sa.Text, nullable=False, server_default=""),
    sa.Column("approve_request", sa.Text, nullable=False, server_default=""),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("request_id", sa.Text, nullable=False, unique=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("create_ms", Instant, key="create_time", nullable=False),
    sa.Column("update_ms", Instant, key="update_time", nullable=False),
    sqlite_autoincrement=True,
)

# One row per entry and kind, never one per frame: see Signals.columns for the bytes.
entry_signals = sa.Table(
    "entry_signals",
    metadata,
    sa.Column("entry_seq", sa.ForeignKey("entries.seq"), primary_key=True),
    sa.Column("kind", Number(Kind), primary_key=True),
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
    sa.Column("at_ms", Instant, key="time", nullable=False),
    sa.Column("what", Name(ChangeKind), key="kind", nullable=False),
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
    sa.Column("roles", Json(tuple[Role, ...]), nullable=False),
    sa.Column("banks", Json(tuple[str, ...]), nullable=True),  # ids; null: all
    sa.Column("credential", Number(Credential), nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("certificate", sa.Text, nullable=False),
    sa.Column("create_ms", Instant, key="create_time", nullable=False),
    sa.Column("expire_ms", Instant, key="expire_time", nullable=True),
    sa.Column("revoke_ms", Instant, key="revoke_time", nullable=True),
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
    sa.Column("create_ms", Instant, key="create_time", nullable=False, index=True),
    sa.Column("verdict", Number(Verdict), nullable=False, index=True),  # of the newest judgement
    sa.Column("sha256", sa.LargeBinary, nullable=False, index=True),
    sa.Column("media", Json(MediaInfo, without="sha256"), nullable=False),
    sa.Column("coverage", Json(Coverage), nullable=False),
    # Why coverage is not complete: part of every judgement.
    sa.Column("coverage_reasons", Json(tuple[Reason, ...]), nullable=False),
    sa.Column("hash_versions", Json(Mapping[Kind, str]), nullable=False),  # {kind: version}
    # Whose it is; empty where callers are not asked who they are.
    sa.Column("caller", sa.Text, nullable=False, server_default="", index=True),
    # The secret that its frames were chosen by, 16 bytes, highest first: told to nobody. Null if
    # no frame was chosen here, or before there were seeds.
    sa.Column("seed", Seed, nullable=True),
    # What looked at it, see `Screening.look_version`. Null if not known: from before there was one.
    sa.Column("look_version", sa.Text, nullable=True),
    sqlite_autoincrement=True,
)

screening_signals = sa.Table(
    "screening_signals",
    metadata,
    sa.Column("screening_seq", sa.ForeignKey("screenings.seq"), primary_key=True),
    sa.Column("kind", Number(Kind), primary_key=True),
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
    sa.Column("number", sa.Integer, key="judgement", primary_key=True),
    sa.Column("request_id", sa.Text, nullable=False, unique=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("at_ms", Instant, key="judge_time", nullable=False),
    sa.Column("verdict", Number(Verdict), nullable=False),
    sa.Column("revision", sa.BigInteger, key="blocklist_revision", nullable=False),
    sa.Column("reasons", Json(tuple[Reason, ...]), nullable=False),
    sa.Column("evidence", Json(tuple[Evidence, ...]), nullable=False),
    sa.Column("elapsed_ms", sa.Float, nullable=False),
    sa.Column("unacted", Json(tuple[Evidence, ...]), nullable=False, server_default="[]"),
)

# Which entries' evidence acts in the newest judgement of a screening, or did in an earlier one
# (action null): how often an entry matches, what it holds back, and what was seen by who decided.
# `media` tells files from each other; `at_ms` is when it was screened.
matched = sa.Table(
    "matched",
    metadata,
    sa.Column("screening_seq", sa.ForeignKey("screenings.seq"), primary_key=True),
    sa.Column("entry_id", sa.Text, primary_key=True),
    sa.Column("action", Number(Action), nullable=True),
    sa.Column("media", sa.Text, nullable=False),
    sa.Column("at_ms", Instant, key="time", nullable=False, index=True),
    sa.Index("ix_matched_entry_id", "entry_id", "time"),
)

# One of a screening at most, of an entry each time that it is quarantined.
cases = sa.Table(
    "cases",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("case_id", sa.Text, nullable=False, unique=True),
    sa.Column("type", Number(CaseType), nullable=False),
    sa.Column("state", Number(CaseState), nullable=False, index=True),
    sa.Column("screening_seq", sa.ForeignKey("screenings.seq"), nullable=True, unique=True),
    sa.Column("entry_seq", sa.ForeignKey("entries.seq"), nullable=True, index=True),
    sa.Column("create_ms", Instant, key="create_time", nullable=False),
    sa.Column("open_ms", Instant, key="open_time", nullable=False),
    sa.Column("decision", Number(CaseDecision), nullable=True),
    sa.Column("decided_by", sa.Text, nullable=False, server_default=""),
    sa.Column("decide_ms", Instant, key="decide_time", nullable=True),
    sa.Column("why", sa.Text, nullable=False, server_default=""),
    # Of the request that decided it last.
    sa.Column("request_id", sa.Text, nullable=True, unique=True),
    sa.Column("fingerprint", sa.Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
