"""Many entries at once, as columns: COPY on PostgreSQL, one statement for thousands on SQLite."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from hashmatch.model import ids
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import EntryState
from hashmatch.store.tables import entries, entry_signals
from hashmatch.store.types import now, stored

__all__ = ["NewEntries", "Usable", "insert", "new_entries", "new_entry"]

# Which hashes are rich enough to match by: bool [n].
Usable = Callable[[Signals], npt.NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class NewEntries:
    """Entries that are to be created, some thousand of them.

    ``references`` and ``labels`` n texts; ``hashes`` for each kind the hashes of all, and where
    those of each begin: int64 ``[n + 1]``, rising, from 0 to their number. ``contents`` n times
    what tells an entry's hashes from any other's; None where nobody asks.
    """

    references: Sequence[str]
    labels: Sequence[str]
    hashes: Sequence[tuple[Signals, npt.NDArray[np.int64]]]
    contents: Sequence[bytes] | None = None

    def __post_init__(self) -> None:
        """Raises ``ValueError`` if the columns do not fit together."""
        count = len(self.references)
        if len(self.labels) != count:
            raise ValueError(f"{len(self.labels)} labels for {count} entries")
        for signals, first in self.hashes:
            ends = (0, len(signals))
            if (
                len(first) != count + 1
                or (first[0], first[-1]) != ends
                or (np.diff(first) < 0).any()
            ):
                raise ValueError(f"the {signals.kind.name} hashes are not those of {count} entries")

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.references)

    def take(self, places: Sequence[int]) -> NewEntries:
        """Only those at some places, which rise."""
        if len(places) == len(self):
            return self
        chosen = np.array(places, np.int64)
        hashes = []
        for signals, first in self.hashes:
            counts = np.diff(first)
            kept = np.zeros(len(self), np.bool_)
            kept[chosen] = True
            rows = np.repeat(kept, counts)
            hashes.append((signals.select(rows), np.cumsum([0, *counts[chosen]])))
        return NewEntries(
            [self.references[each] for each in places],
            [self.labels[each] for each in places],
            hashes,
            None if self.contents is None else [self.contents[each] for each in places],
        )

    @classmethod
    def joined(cls, some: Iterable[tuple[str, str, Sequence[Signals]]]) -> NewEntries:
        """From (reference, label, hashes) of each."""
        references, labels, hashes = zip(*some, strict=True) if (some := list(some)) else ((),) * 3
        columns = []
        for signals in Signals.concatenate(each for parts in hashes for each in parts):
            counts = [
                sum(len(each) for each in parts if each.kind is signals.kind) for parts in hashes
            ]
            columns.append((signals, np.cumsum([0, *counts])))
        return cls(references, labels, columns)


def new_entry(actor: str, *, pending: bool = False) -> dict[str, object]:
    """Columns that all entries that begin now have alike; of no media, unless others say so."""
    created = now()
    return {
        "state": EntryState.PENDING if pending else EntryState.ACTIVE,
        "coverage": None,
        "reasons": (),
        "create_time": created,
        "update_time": created,
        "proposed_by": actor,
        "approved_by": "",
        "expire_time": None,
    }


def new_entries(
    actor: str, bank_seq: int, revision: int, *, pending: bool = False
) -> dict[str, object]:
    """Columns that all entries of a bank have alike that one revision makes."""
    own = {"bank_seq": bank_seq, "revision": revision, "batch": revision}
    return new_entry(actor, pending=pending) | own


def insert(
    connection: sa.Connection, some: NewEntries, shared: Mapping[str, object], usable: Usable
) -> int:
    """Returns how many. ``shared`` are the columns that all have alike; other writers must be kept
    out.
    """
    count = len(some)
    seqs = _reserve(connection, count)
    kinds, durations = _made_of(some, usable)
    columns: dict[str, Sequence[object]] = {
        name: [stored(connection, entries.c[name], value)] * count for name, value in shared.items()
    }
    columns |= {"seq": seqs, "entry_id": ids.new_ids(ids.ENTRY, count), "duration_ms": durations}
    columns |= {"reference": some.references, "label": some.labels}
    columns["kinds"] = [_json(each) for each in kinds]
    if some.contents is not None:
        columns["content"] = some.contents
    _insert(connection, entries, columns)
    for signals, first in some.hashes:
        _insert(connection, entry_signals, _signal_columns(signals, first, seqs))
    return count


def _made_of(some: NewEntries, usable: Usable) -> tuple[list[tuple[Any, ...]], list[int]]:
    """What hashes each entry has, as the JSON column says it, and when its last one was."""
    durations = np.zeros(len(some), np.int64)
    by_kind = []
    for signals, first in some.hashes:
        counts = np.diff(first)
        rich = np.diff(np.cumsum([0, *usable(signals)])[first])
        has = counts > 0
        if has.any():
            latest = np.maximum.reduceat(signals.pts_ms, first[:-1][has])
            durations[has] = np.maximum(durations[has], latest)
        number = int(signals.kind)
        by_kind.append(
            [(number, *each) for each in zip(counts.tolist(), rich.tolist(), strict=True)]
        )
    kinds = [tuple(each for each in one if each[1]) for one in zip(*by_kind, strict=True)]
    return kinds or [()] * len(some), durations.tolist()


def _signal_columns(
    signals: Signals, first: npt.NDArray[np.int64], seqs: range
) -> dict[str, Sequence[object]]:
    """A row for each entry that has hashes of the kind."""
    digests, quality, pts_ms, view = signals.columns()
    width = signals.kind.width
    bounds = first.tolist()
    parts = [(a, b) for a, b in itertools.pairwise(bounds) if b > a]
    return {
        "entry_seq": np.asarray(seqs)[np.diff(first) > 0].tolist(),
        "kind": [signals.kind.value] * len(parts),
        "digests": [digests[a * width : b * width] for a, b in parts],
        "quality": [quality[a:b] for a, b in parts],
        "pts_ms": [pts_ms[8 * a : 8 * b] for a, b in parts],
        "view": [view[a:b] for a, b in parts],
    }


# Entries of a list have few different counts.
_json: Final = functools.lru_cache(maxsize=4096)(json.dumps)


def _insert(
    connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]
) -> None:
    names = ", ".join(f'"{table.c[name].name}"' for name in columns)
    rows = zip(*columns.values(), strict=True)
    if connection.dialect.name == "postgresql":
        _copy(connection, f'COPY "{table.name}" ({names}) FROM STDIN', rows)
    elif some := list(rows):
        places = ", ".join("?" * len(columns))
        connection.exec_driver_sql(
            f'INSERT INTO "{table.name}" ({names}) VALUES ({places})',  # noqa: S608 - ours
            some,
        )


def _reserve(connection: sa.Connection, count: int) -> range:
    """Sequence numbers for so many entries."""
    if not count:
        return range(0)
    if connection.dialect.name == "postgresql":
        name = sa.func.pg_get_serial_sequence("entries", "seq")
        first = int(connection.execute(sa.select(sa.func.nextval(name))).scalar_one())
        connection.execute(sa.select(sa.func.setval(name, first + count - 1)))
    else:
        # Where numbers are never given twice, SQLite keeps the newest here.
        newest = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        first = (connection.execute(newest, {"name": entries.name}).scalar() or 0) + 1
    return range(first, first + count)


def _copy(connection: sa.Connection, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
