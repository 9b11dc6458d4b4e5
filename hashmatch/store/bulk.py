"""Many rows at once: COPY on PostgreSQL, else one statement for thousands."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from hashmatch.store.tables import entries

__all__ = ["insert", "reserve"]

_AT_ONCE: Final = 5000


def insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows that all name the same columns."""
    remaining = iter(rows)
    while some := list(itertools.islice(remaining, _AT_ONCE)):
        names = list(some[0])
        as_json = [
            place for place, name in enumerate(names) if isinstance(table.c[name].type, sa.JSON)
        ]
        values = [list(row.values()) for row in some]
        for row in values:
            for place in as_json:
                if row[place] is not None:
                    row[place] = json.dumps(row[place])
        columns = ", ".join(f'"{name}"' for name in names)
        if connection.dialect.name == "postgresql":
            _copy(connection, f'COPY "{table.name}" ({columns}) FROM STDIN', values)
        else:
            places = ", ".join("?" * len(names))
            connection.exec_driver_sql(
                f'INSERT INTO "{table.name}" ({columns}) VALUES ({places})',  # noqa: S608 - ours
                [tuple(row) for row in values],
            )


def reserve(connection: sa.Connection, count: int) -> range:
    """Sequence numbers for so many entries. Other writers of the blocklist must be kept out."""
    if connection.dialect.name == "postgresql":
        name = sa.func.pg_get_serial_sequence("entries", "seq")
        first = int(connection.execute(sa.select(sa.func.nextval(name))).scalar_one())
        connection.execute(sa.select(sa.func.setval(name, first + count - 1)))
    else:
        # Where numbers are never given twice, SQLite keeps the newest here.
        newest = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        first = (connection.execute(newest, {"name": entries.name}).scalar() or 0) + 1
    return range(first, first + count)


def _copy(connection: sa.Connection, statement: str, values: Sequence[list[Any]]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in values:
            copy.write_row(row)
