"""What entries hold back: noted with each judgement, counted for those who watch for floods."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from hashmatch.model.cases import CaseType
from hashmatch.model.records import Screening
from hashmatch.model.verdicts import Action, Verdict
from hashmatch.store.cases import open_case
from hashmatch.store.rows import IN_USE
from hashmatch.store.tables import banks, entries, matched

__all__ = ["Flow", "flow_of", "keep_entries", "note"]


class Flow(NamedTuple):
    """How many different files an entry blocked lately, and the median of
    those of its bank that blocked any.
    """

    files: int
    usual: float


def keep_entries(connection: sa.Connection, screening: Screening, seq: int | None = None) -> bool:
    """Has entries and their banks stay as they are until this transaction ends: those that a
    screening names, and those that it named before, if it has a number. Else one could be withdrawn
    meanwhile, and the screening would be held back for it without anybody being told. Before
    anything else is locked. True if what it names is out of use by now.
    """
    acting = {each.entry.entry_id for each in screening.evidence}
    named = set(acting)
    if seq is not None:
        before = sa.select(matched.c.entry_id).where(matched.c.screening_seq == seq)
        named |= set(connection.execute(before).scalars())
    if not named:
        return False
    query = (
        sa.select(entries.c.entry_id, IN_USE.label("is_used"))
        .join(banks, banks.c.seq == entries.c.bank_seq)
        .where(entries.c.entry_id.in_(sorted(named)))
        .order_by(entries.c.seq)
    )
    rows = connection.execute(query.with_for_update(read=True, of=[entries, banks])).all()
    used = [bool(row.is_used) for row in rows if row.entry_id in acting]
    return bool(used) and not any(used)


def note(
    connection: sa.Connection, seq: int, screening: Screening, *, gone: bool, new: bool = False
) -> str:
    """Notes which entries act in the newest judgement of a screening, after `keep_entries`, whose
    answer is ``gone``; ``new``: it is the first. Returns the id of its case, or nothing.

    Opens a case for it if its verdict is REVIEW and nobody was asked yet; if there is an entry that
    nobody who was asked has seen; or if all that blocked it went out of use since it was judged.
    """
    kept = matched.c.screening_seq == seq
    seen: set[str] = set()
    if not new:
        seen = set(connection.execute(sa.select(matched.c.entry_id).where(kept)).scalars())
    acting: dict[str, Action] = {}
    for each in screening.evidence:
        entry_id = each.entry.entry_id
        acting[entry_id] = max(each.action, acting.get(entry_id, each.action))
    if seen:
        connection.execute(matched.update().where(kept).values(action=None))
    for entry_id in acting.keys() & seen:
        this = sa.and_(kept, matched.c.entry_id == entry_id)
        connection.execute(matched.update().where(this).values(action=acting[entry_id]))
    unseen = acting.keys() - seen
    if unseen:
        media = screening.media.sha256.hex() or screening.screening_id
        rows = [
            {
                "screening_seq": seq,
                "entry_id": entry_id,
                "action": acting[entry_id],
                "media": media,
                "time": screening.create_time,
            }
            for entry_id in sorted(unseen)
        ]
        connection.execute(matched.insert(), rows)
    asked = screening.case_id != ""
    if (screening.verdict is Verdict.REVIEW and not asked) or (asked and unseen):
        return open_case(connection, CaseType.REVIEW, seq, screening.screening_id)
    if gone and not asked:
        return open_case(connection, CaseType.REOPENED, seq, screening.screening_id)
    return screening.case_id


def flow_of(connection: sa.Connection, entry_id: str, since_ms: int, limit: int) -> Flow:
    """Of one entry since an instant. Below the limit the median is not asked for, and 0."""
    blocking = sa.and_(matched.c.time >= since_ms, matched.c.action == Action.BLOCK)
    own = (
        sa.select(matched.c.media)
        .where(blocking, matched.c.entry_id == entry_id)
        .distinct()
        .limit(limit)
    )
    files = connection.execute(sa.select(sa.func.count()).select_from(own.subquery())).scalar_one()
    if files < limit:
        return Flow(files, 0.0)
    own_all = sa.select(sa.func.count(matched.c.media.distinct())).where(
        blocking, matched.c.entry_id == entry_id
    )
    files = connection.execute(own_all).scalar_one()
    same_bank = (
        sa.select(entries.c.bank_seq).where(entries.c.entry_id == entry_id).scalar_subquery()
    )
    others = (
        sa.select(sa.func.count(matched.c.media.distinct()))
        .join(entries, entries.c.entry_id == matched.c.entry_id)
        .where(blocking, entries.c.bank_seq == same_bank, matched.c.entry_id != entry_id)
        .group_by(matched.c.entry_id)
    )
    return Flow(files, _median(connection.execute(others).scalars()))


def _median(counts: Iterable[int]) -> float:
    return statistics.median([*counts] or [0])
