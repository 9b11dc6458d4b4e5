"""The audit trail: who changed what and when, in rows that each carry the hash of the one before.

A row is never changed or deleted: the database refuses it (see the migration), and whoever gets
round that is found out by `Audit.verify`, which goes through the chain. Rows that were cut off at
the end are found by the log of changes, which has one for each revision, and by a hash that was
noted elsewhere: any earlier newest one must still be in the chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from hashmatch.model.records import AuditFinding, AuditReport, AuditRow, Page
from hashmatch.store.database import Store
from hashmatch.store.rows import page
from hashmatch.store.tables import audit, callers, changes, store
from hashmatch.store.types import from_ms, now, to_ms

__all__ = ["Audit", "append"]

# Of a server itself, and where callers are not asked who they are.
_NOBODY: Final = ""

_BEFORE_THE_FIRST: Final = bytes(32)
_ROWS_AT_ONCE: Final = 5000
_MOST_FINDINGS: Final = 100


def append(
    connection: sa.Connection,
    action: str,
    subject: str,
    details: Mapping[str, Any],
    *,
    revision: int | None = None,
    actor: str = _NOBODY,
) -> None:
    """Adds a row to the trail, as a part of the transaction that does what it tells.

    ``subject`` is the id of what was changed, ``revision`` the blocklist's that did it; ``details``
    become JSON and hold no hash and no token. Others that write to the trail must be kept out, as
    `Database.write_in_order` does.
    """
    newest = connection.execute(
        sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    ).first()
    row = {
        "seq": newest.seq + 1 if newest else 1,
        "at_ms": to_ms(now()),
        "actor": actor,
        "action": action,
        "subject": subject,
        "revision": revision,
        "details": json.dumps(details, sort_keys=True, separators=(",", ":")),
        "previous": newest.hash if newest else _BEFORE_THE_FIRST,
    }
    connection.execute(audit.insert().values(**row, hash=_hash(row)))


class Audit(Store):
    """Methods block; each is one transaction."""

    def note(self, action: str, subject: str, details: Mapping[str, Any], actor: str) -> None:
        """Adds a row for what changes nothing: what was read, or denied."""
        with self._database.write_in_order() as connection:
            append(connection, action, subject, details, actor=actor)

    def list(
        self, before: int, limit: int, actor: str, subject: str, since_ms: int | None
    ) -> Page[AuditRow]:
        """Newest first; ``before`` is the token of the page before, 0 for the first. Of one actor,
        by id or name, and of one subject, if they are given.
        """
        named = sa.select(audit, callers.c.name.label("actor_name")).outerjoin(
            callers, callers.c.caller_id == audit.c.actor
        )
        query = named
        if actor:
            query = query.where(sa.or_(audit.c.actor == actor, callers.c.name == actor))
        if subject:
            query = query.where(audit.c.subject == subject)
        if since_ms is not None:
            query = query.where(audit.c.at_ms >= since_ms)
        with self._database.read() as connection:
            return page(connection, query, audit.c.seq, before, limit, _to_row)

    def verify(self, noted: bytes | None = None) -> AuditReport:
        """Goes through the whole trail. ``noted`` is a hash that was the newest at some time.

        Finds rows that were changed, removed, put elsewhere or added, and revisions of the
        blocklist without a row; tells at most a hundred.
        """
        findings: list[AuditFinding] = []
        with self._database.read() as connection:
            query = (
                sa.select(audit).order_by(audit.c.seq).execution_options(yield_per=_ROWS_AT_ONCE)
            )
            seen, head, told = 0, _BEFORE_THE_FIRST, noted is None
            with connection.execute(query) as rows:
                for row in rows:
                    findings += _wrong(row, seen, head)
                    seen, head = row.seq, row.hash
                    told = told or row.hash == noted
                    if len(findings) >= _MOST_FINDINGS:
                        break
            count = connection.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one()
            if not told and len(findings) < _MOST_FINDINGS:
                findings.append(
                    AuditFinding(
                        seen,
                        "no row has the hash that was noted: rows after it, or all, were made anew",
                    )
                )
            findings += _untold(connection)
        return AuditReport(count, head.hex(), tuple(findings[:_MOST_FINDINGS]))


def _to_row(row: sa.Row[Any]) -> AuditRow:
    return AuditRow(
        row=row.seq,
        time=from_ms(row.at_ms),
        actor=row.actor,
        actor_name=row.actor_name or row.actor.removeprefix("oidc:"),
        action=row.action,
        subject=row.subject,
        revision=row.revision or 0,
        details=row.details,
    )


def _wrong(row: sa.Row[Any], before: int, head: bytes) -> Iterator[AuditFinding]:
    if row.seq != before + 1:
        yield AuditFinding(before + 1, f"rows {before + 1} to {row.seq - 1} were removed")
    elif row.previous != head:
        yield AuditFinding(row.seq, f"it does not follow row {before} as that is now")
    if row.hash != _hash(row._asdict()):
        yield AuditFinding(row.seq, "it was changed after it was written")


def _untold(connection: sa.Connection) -> Iterator[AuditFinding]:
    """Revisions that no row tells of, since there is a trail."""
    begun = sa.select(sa.func.min(audit.c.revision)).scalar_subquery()
    told = sa.exists().where(audit.c.revision == changes.c.revision)
    query = (
        sa.select(changes.c.revision)
        .where(changes.c.revision >= sa.func.coalesce(begun, 0), ~told)
        .order_by(changes.c.revision)
        .limit(_MOST_FINDINGS)
    )
    for revision in connection.execute(query).scalars():
        yield AuditFinding(0, f"no row tells of revision {revision} of the blocklist")
    kept = sa.exists().where(changes.c.revision == audit.c.revision)
    compacted = sa.select(store.c.compacted_revision).scalar_subquery()
    query = (
        sa.select(audit.c.seq, audit.c.revision)
        .where(audit.c.seq > 1, audit.c.revision > compacted, ~kept)
        .order_by(audit.c.seq)
        .limit(_MOST_FINDINGS)
    )
    for row in connection.execute(query):
        yield AuditFinding(row.seq, f"the blocklist has no revision {row.revision} any more")


def _hash(row: Mapping[str, Any]) -> bytes:
    """Of all that a row says, and of the row before."""
    said = [row[name] for name in ("seq", "at_ms", "actor", "action", "subject", "revision")]
    text = json.dumps([*said, row["details"]], separators=(",", ":"))
    return hashlib.sha256(bytes(row["previous"]) + text.encode()).digest()
