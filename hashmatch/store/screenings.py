"""Screenings, their hashes and their judgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from hashmatch.errors import ScreeningNotFound
from hashmatch.model.call import Call
from hashmatch.model.records import Page, Reason, Screening
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Verdict
from hashmatch.store import audit, holding, repeats
from hashmatch.store.database import Store
from hashmatch.store.rows import page, record, signals_values, to_signals
from hashmatch.store.tables import cases, judgements, screening_signals, screenings
from hashmatch.store.types import from_ms, to_ms

__all__ = ["ScreeningStore", "Stored"]

# Screenings of the same bytes that are asked for one that was whole: the newest ones.
_SAME_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Stored:
    """What is needed to judge a screening again, or to repeat it.

    ``seed`` is the `decoding.channel.Job.seed` that its frames were chosen by, a secret; None if
    none was.
    """

    screening: Screening
    signals: tuple[Signals, ...]
    coverage_reasons: tuple[Reason, ...]
    seed: int | None = field(default=None, repr=False)


class ScreeningStore(Store):
    """Methods block; each is one transaction."""

    def add(
        self,
        call: Call,
        screening: Screening,
        signals: Sequence[Signals],
        coverage_reasons: tuple[Reason, ...],
        seed: int | None = None,
    ) -> Screening:
        """Stores a screening, its hashes and its first judgement; returns what is stored.

        ``seed`` is what its frames were chosen by; only `get_stored` and `find_whole` give it back.
        Instants are stored to the millisecond. It is another screening if the request was answered
        before. Raises `RequestIdReused`.
        """
        try:
            with self._database.write() as connection:
                gone = holding.keep_entries(connection, screening)
                seq = connection.execute(
                    screenings.insert()
                    .values(
                        screening_id=screening.screening_id,
                        create_time=screening.create_time,
                        verdict=screening.verdict,
                        sha256=screening.media.sha256,
                        media=screening.media,
                        coverage=screening.coverage,
                        coverage_reasons=coverage_reasons,
                        hash_versions=screening.hash_versions,
                        caller=call.actor,
                        seed=seed,
                        look_version=screening.look_version,
                    )
                    .returning(screenings.c.seq)
                ).scalar_one()
                for each in signals:
                    connection.execute(
                        screening_signals.insert().values(screening_seq=seq, **signals_values(each))
                    )
                connection.execute(_judgement(seq, call, screening))
                case_id = holding.note(connection, seq, screening, gone=gone, new=True)
        except IntegrityError:
            return self._answer_or_raise(call)
        return replace(
            screening,
            create_time=from_ms(to_ms(screening.create_time)),
            judge_time=from_ms(to_ms(screening.judge_time)),
            case_id=case_id,
        )

    def add_judgement(self, call: Call, screening: Screening) -> Screening:
        """Stores a confirmation; its number is given here. As `add` for repeated requests."""
        try:
            with self._database.write() as connection:
                this = sa.select(screenings.c.seq).where(
                    screenings.c.screening_id == screening.screening_id
                )
                seq = connection.execute(this).scalar_one()
                gone = holding.keep_entries(connection, screening, seq)
                # Judgements of one screening are numbered one by one.
                connection.execute(this.with_for_update()).all()
                newest = connection.execute(
                    sa.select(sa.func.max(judgements.c.judgement)).where(
                        judgements.c.screening_seq == seq
                    )
                ).scalar_one()
                connection.execute(_judgement(seq, call, screening, newest + 1))
                connection.execute(
                    screenings.update()
                    .where(screenings.c.seq == seq)
                    .values(verdict=screening.verdict)
                )
                # As its case is by now, whatever it was when it was judged.
                of_it = sa.select(cases.c.case_id).where(cases.c.screening_seq == seq)
                case_id = connection.execute(of_it).scalar() or ""
                as_it_is = replace(screening, case_id=case_id)
                holding.note(connection, seq, as_it_is, gone=gone)
        except IntegrityError:
            return self._answer_or_raise(call)
        return self.answer_to(call) or screening

    def answer_to(self, call: Call) -> Screening | None:
        """What a request was answered before; None if it is new. Raises `RequestIdReused`."""
        with self._database.read() as connection:
            row = repeats.earlier(connection, _select(), judgements, call)
        return None if row is None else _to_screening(row)

    def get(self, screening_id: str, caller: str | None = None) -> Screening:
        """With its newest judgement; only if it is this caller's, where one is given. Raises
        `ScreeningNotFound`.
        """
        return self._newest(screening_id, caller)[0]

    def check(self) -> None:
        """Raises `ConfigInvalid` if there is no store, or one from before seeds were stored: for
        those who do not migrate it.
        """
        self._database.check(screenings.c.seed)

    def get_stored(self, screening_id: str, caller: str | None = None) -> Stored:
        """Likewise, with all that is needed to judge it again."""
        screening, row = self._newest(screening_id, caller)
        with self._database.read() as connection:
            signals = _signals(connection, row.seq)
        return Stored(screening, signals, row.coverage_reasons, row.seed)

    def find_whole(self, sha256: bytes, look_version: str) -> Stored | None:
        """The newest screening of the same bytes that was looked at here, as a whole, and by this
        `Screening.look_version`.
        """
        query = (
            _select_newest()
            .where(screenings.c.sha256 == sha256, screenings.c.look_version == look_version)
            .order_by(screenings.c.seq.desc())
            .limit(_SAME_BYTES)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            for row in rows:
                screening = _to_screening(row)
                if screening.coverage.complete and not screening.coverage.by_caller:
                    return Stored(screening, _signals(connection, row.seq), (), row.seed)
        return None

    def list(
        self,
        before: int,
        limit: int,
        verdict: Verdict | None,
        since_ms: int | None,
        caller: str | None = None,
    ) -> Page[Screening]:
        """Newest first; ``before`` is the token of the page before, 0 for the first. Of one
        caller, if it is given.
        """
        query = _select_newest()
        if verdict is not None:
            query = query.where(screenings.c.verdict == verdict)
        if since_ms is not None:
            query = query.where(screenings.c.create_time >= since_ms)
        if caller is not None:
            query = query.where(screenings.c.caller == caller)
        with self._database.read() as connection:
            return page(connection, query, screenings.c.seq, before, limit, _to_screening)

    def flow_of(self, entry_id: str, since_ms: int, limit: int) -> holding.Flow:
        """How many files an entry blocked since an instant, counted up to a limit."""
        with self._database.read() as connection:
            return holding.flow_of(connection, entry_id, since_ms, limit)

    def note_probing(self, caller: str) -> None:
        """Writes into the audit trail that a caller may be trying what passes."""
        with self._database.write_in_order() as connection:
            audit.append(connection, "probing_suspected", caller, {})

    def _newest(self, screening_id: str, caller: str | None) -> tuple[Screening, sa.Row[Any]]:
        query = _select_newest().where(screenings.c.screening_id == screening_id)
        if caller is not None:
            query = query.where(screenings.c.caller == caller)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise ScreeningNotFound(f"screening_id: there is no screening {screening_id!r}")
        return _to_screening(row), row

    def _answer_or_raise(self, call: Call) -> Screening:
        answer = self.answer_to(call)
        if answer is None:
            raise RuntimeError("a row breaks a rule of the schema that is not request_id's")
        return answer


def _signals(connection: sa.Connection, seq: int) -> tuple[Signals, ...]:
    query = sa.select(screening_signals).where(screening_signals.c.screening_seq == seq)
    return tuple(to_signals(each) for each in connection.execute(query))


def _select() -> sa.Select[Any]:
    return (
        sa.select(screenings, judgements, cases.c.case_id, cases.c.decision)
        .join(judgements, judgements.c.screening_seq == screenings.c.seq)
        .outerjoin(cases, cases.c.screening_seq == screenings.c.seq)
    )


def _select_newest() -> sa.Select[Any]:
    newest = judgements.alias()
    return _select().where(
        judgements.c.judgement
        == sa.select(sa.func.max(newest.c.judgement))
        .where(newest.c.screening_seq == screenings.c.seq)
        .scalar_subquery()
    )


def _judgement(seq: int, call: Call, screening: Screening, number: int = 1) -> sa.Insert:
    return judgements.insert().values(
        screening_seq=seq,
        judgement=number,
        request_id=call.request_id,
        fingerprint=call.fingerprint,
        judge_time=screening.judge_time,
        verdict=screening.verdict,
        blocklist_revision=screening.blocklist_revision,
        reasons=screening.reasons,
        evidence=screening.evidence,
        unacted=screening.unacted,
        elapsed_ms=screening.elapsed_ms,
    )


def _to_screening(row: sa.Row[Any]) -> Screening:
    return record(
        Screening,
        row,
        verdict=row._mapping[judgements.c.verdict],
        media=replace(row.media, sha256=row.sha256),
        case_id=row.case_id or "",
        look_version=row.look_version or "",
        evidence_withheld=False,
    )
