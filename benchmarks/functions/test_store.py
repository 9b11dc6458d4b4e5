"""How long the store takes for many entries."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from benchmarks.digests import Bytes, digests, signals_of
from benchmarks.functions.suite import Against
from hashmatch.engine.index.live import usable
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED
from hashmatch.model.verdicts import Action, Kind
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.database import Database
from hashmatch.store.imports import ImportStore
from hashmatch.usecases.imports import Imports, ListSaid
from hashmatch.usecases.replica import Replica

_BLOCK: Final = 5000


@pytest.mark.parametrize(
    ("name", "count"), [("100k", 100_000), pytest.param("1m", 1_000_000, marks=pytest.mark.full)]
)
def test_import(against: Against, tmp_path: Path, name: str, count: int) -> None:
    """``import_*``: entries of a hash each into SQLite, against its own driver and bare hashes."""
    made, numbers = digests(count), itertools.count()

    def ours(folder: Path) -> None:
        database = Database(f"sqlite:///{folder / 'ours.db'}")
        database.migrate()
        store = BlocklistStore(database)
        store.create_bank(Call(UNRESTRICTED, "bank", ""), "bank", "", Action.BLOCK, {Kind.PDQ: 31})
        assert (
            store.create_entries(Call(UNRESTRICTED, "many", ""), "bank", _blocks(made), usable)
            == count
        )
        database.close()

    def yardstick(folder: Path) -> None:
        connection = sqlite3.connect(folder / "yardstick.db")
        connection.execute("CREATE TABLE hashes (number INTEGER PRIMARY KEY, digest BLOB)")
        rows = ((number, digest.tobytes()) for number, digest in enumerate(made))
        connection.executemany("INSERT INTO hashes VALUES (?, ?)", rows)
        connection.commit()
        connection.close()

    def folder() -> tuple[Path]:
        (new := tmp_path / f"{next(numbers)}").mkdir()
        return (new,)

    against(
        f"import_{name}",
        f"{count:,} entries into SQLite",
        "executemany of bare hashes",
        ours,
        yardstick,
        rounds=3 if count < 1_000_000 else 2,
        warm_up=False,
        arguments=folder,
    )


@pytest.mark.parametrize(
    ("name", "count"), [("100k", 100_000), pytest.param("1m", 1_000_000, marks=pytest.mark.full)]
)
def test_list(against: Against, tmp_path: Path, name: str, count: int) -> None:
    """``list_*``: a CSV, one line of a hundred broken, imported, again, and withdrawn; on SQLite,
    against its own driver and bare hashes.
    """
    numbers = itertools.count()
    # By chance: none comes twice, or is of no picture.
    made = np.random.default_rng(0).integers(0, 256, (count, 32), np.uint8)
    lines = [f"{digest.tobytes().hex()},ref {number}" for number, digest in enumerate(made)]
    broken = len(lines[50::100])
    lines[50::100] = [line[1:] for line in lines[50::100]]
    data = "\n".join(["pdq,reference", *lines]).encode()

    async def imported(folder: Path) -> None:
        database = Database(f"sqlite:///{folder / 'ours.db'}")
        database.migrate()
        store = BlocklistStore(database)
        store.create_bank(Call(UNRESTRICTED, "bank", ""), "bank", "", Action.BLOCK, {Kind.PDQ: 31})
        replica = Replica(store)
        await replica.load()
        imports = Imports(ImportStore(database), store, replica)
        first = await imports.add(
            Call(UNRESTRICTED, "first", ""), "bank", ListSaid(), _pieces(data)
        )
        assert (first.created, first.broken) == (count - broken, broken)
        again = await imports.add(
            Call(UNRESTRICTED, "again", ""), "bank", ListSaid(), _pieces(data)
        )
        assert (again.created, again.known) == (0, count - broken)
        await imports.withdraw(Call(UNRESTRICTED, "gone", ""), first.import_id)
        assert replica.snapshot.active_entries == 0
        database.close()

    def yardstick(folder: Path) -> None:
        connection = sqlite3.connect(folder / "yardstick.db")
        connection.execute("CREATE TABLE hashes (number INTEGER PRIMARY KEY, digest BLOB)")
        rows = ((number, digest.tobytes()) for number, digest in enumerate(made))
        connection.executemany("INSERT INTO hashes VALUES (?, ?)", rows)
        connection.commit()
        connection.close()

    def folder() -> tuple[Path]:
        (new := tmp_path / f"{next(numbers)}").mkdir()
        return (new,)

    against(
        f"list_{name}",
        f"{count:,} lines imported, again, and withdrawn",
        "executemany of bare hashes",
        lambda folder: asyncio.run(imported(folder)),
        yardstick,
        rounds=3 if count < 1_000_000 else 1,
        warm_up=False,
        arguments=folder,
    )


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 18):
        yield data[start : start + (1 << 18)]


def _blocks(made: Bytes) -> Iterator[NewEntries]:
    for first in range(0, len(made), _BLOCK):
        some = made[first : first + _BLOCK]
        references = [f"list {number}" for number in range(first, first + len(some))]
        yield NewEntries(
            references, [""] * len(some), [(signals_of(some), np.arange(len(some) + 1))]
        )
