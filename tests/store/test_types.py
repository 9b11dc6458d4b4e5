"""Types of columns: what stands in a database is what every version before wrote there."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic_core import PydanticSerializationError
from sqlalchemy.exc import StatementError

from hashmatch.model.changes import ChangeKind
from hashmatch.model.records import (
    BankPolicy,
    Coverage,
    KindCount,
    MediaInfo,
    Provenance,
    Reason,
)
from hashmatch.model.verdicts import Category, EntryState, Kind, VerdictReason
from hashmatch.store.database import Database
from hashmatch.store.types import (
    Instant,
    Json,
    KindCounts,
    Name,
    Number,
    Seed,
    from_ms,
    now,
    stored,
    to_ms,
)

MOMENT = datetime.datetime(2025, 1, 2, 3, 4, 5, 678_000, datetime.UTC)

# A column's type, a value, and what is kept of it, as version 0.1.0 wrote it.
KEPT: list[tuple[sa.types.TypeEngine[Any], Any, Any]] = [
    (Number(EntryState), EntryState.WITHDRAWN, 3),
    (Name(ChangeKind), ChangeKind.ENTRIES_CREATED, "entries_created"),
    (Instant(), MOMENT, 1_735_787_045_678),
    (Seed(), 258, bytes(14) + b"\x01\x02"),
    (Json(KindCounts), (KindCount(Kind.PDQ_PATCH, 3, 2),), "[[6, 3, 2]]"),
    (Json(Mapping[Kind, int]), {Kind.PDQ: 31, Kind.SHA256: 0}, '{"1": 31, "3": 0}'),
    (Json(Mapping[Kind, str]), {Kind.PDQ: "3"}, '{"1": "3"}'),
    (
        Json(tuple[Reason, ...]),
        (Reason(VerdictReason.EMPTY, "ü"),),
        '[{"code": 10, "detail": "\\u00fc"}]',
    ),
    (
        Json(BankPolicy),
        BankPolicy(),
        '{"mode": 1, "traffic_percent": 100, "block_score": 14, "review_score": 0, '
        '"flood_limit": 1000}',
    ),
    (
        Json(Provenance),
        Provenance("a", "b", Category.CSAM_A1, 3, "c", "en"),
        '{"source": "a", "legal_basis": "b", "category": 1, "severity": 3, "note": "c", '
        '"language": "en", "confirmed": false}',
    ),
    (
        Json(MediaInfo, without="sha256"),
        MediaInfo(9, b"", "png", 3, 4, 5),
        '{"size_bytes": 9, "format": "png", "width": 3, "height": 4, "duration_header_ms": 5}',
    ),
]


@pytest.mark.parametrize(("of", "value", "expected"), KEPT, ids=lambda each: type(each).__name__)
def test_what_is_kept_of_a_value(
    of: sa.types.TypeEngine[Any], value: Any, expected: Any, tmp_path: Any
) -> None:
    """An older server beside a new one could not read what that stores; nor the new one itself."""
    table = sa.Table("kept", sa.MetaData(), sa.Column("value", of, nullable=True))
    engine = sa.create_engine(f"sqlite:///{tmp_path}/kept.db")
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"value": value}, {"value": None}])
        written = list(connection.exec_driver_sql("SELECT value FROM kept").scalars())
        assert written == [expected, None]
        assert list(connection.execute(sa.select(table.c.value)).scalars()) == [value, None]
        assert connection.scalar(sa.select(sa.func.count()).where(table.c.value.is_(None))) == 1
        # Lists come in beside SQLAlchemy.
        assert [stored(connection, table.c.value, each) for each in (value, None)] == written
    engine.dispose()


def test_what_is_of_another_type_is_not_written(tmp_path: Any) -> None:
    """It would stand in the database until somebody could not read it."""
    wrong: list[tuple[sa.types.TypeEngine[Any], Any]] = [
        (Number(EntryState), 9),
        (Name(ChangeKind), "entry_lost"),
        (Json(Coverage), {"complete": True}),
    ]
    engine = sa.create_engine(f"sqlite:///{tmp_path}/kept.db")
    for number, (of, value) in enumerate(wrong):
        table = sa.Table(f"kept{number}", sa.MetaData(), sa.Column("value", of))
        with engine.begin() as connection:
            table.create(connection)
            with pytest.raises((StatementError, PydanticSerializationError)):
                connection.execute(table.insert().values(value=value))
    engine.dispose()


def test_what_nobody_knows_is_not_read(database: Database) -> None:
    """A state that a newer version wrote would be taken for none."""
    with database.read() as connection, pytest.raises(KeyError):
        connection.execute(
            sa.select(sa.type_coerce(sa.literal_column("9"), Number(EntryState)))
        ).all()


def test_types_of_two_enumerations_are_told_apart(database: Database) -> None:
    """A statement that was compiled before would give members of another enumeration."""
    with database.read() as connection:
        for of, expected in ((EntryState, EntryState.ACTIVE), (Kind, Kind.PHASH)):
            query = sa.select(sa.type_coerce(sa.literal(2), Number(of)))
            found = connection.execute(query).scalar_one()
            assert (found, type(found)) == (expected, of)


def test_the_present_instant_is_as_it_will_be_read() -> None:
    """A record that was just made would differ from the same record read a moment later."""
    instant = now()
    assert from_ms(to_ms(instant)) == instant
    assert abs((datetime.datetime.now(datetime.UTC) - instant).total_seconds()) < 60
