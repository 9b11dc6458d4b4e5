"""The database: its schema, its transactions, and what becomes of it when it is damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from hashmatch.errors import StoreUnavailable
from hashmatch.model.records import BankPolicy, Coverage, KindCount
from hashmatch.model.verdicts import Action, BankState, EntryState, Kind, Verdict
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.cases import CaseStore
from hashmatch.store.database import Database
from hashmatch.store.screenings import ScreeningStore
from hashmatch.store.tables import (
    banks,
    changes,
    entries,
    entry_signals,
    judgements,
    matched,
    metadata,
    screenings,
)
from hashmatch.store.types import from_ms
from tests.databases import BACKENDS, kept, unmigrated

SECRET = "5ec2e7d16e57"

BANK = {
    "bank_id": "bnk_1",
    "name": "a",
    "label": SECRET,
    "action": Action.REVIEW,
    "thresholds": {Kind.PDQ: 31},
    "state": BankState.ACTIVE,
    "revision": 1,
    "create_time": from_ms(0),
    "update_time": from_ms(0),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "hashmatch.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """A migrated database."""
    made = Database(f"sqlite:///{path}")
    made.migrate()
    yield made
    made.close()


def names(database: Database) -> list[str]:
    """The names of all banks."""
    with database.read() as connection:
        return list(connection.execute(sa.select(banks.c.name).order_by(banks.c.seq)).scalars())


def schema(engine: sa.Engine) -> dict[str, Any]:
    """All of the schema that matters, table by table."""
    look = sa.inspect(engine)
    found: dict[str, Any] = {}
    for table in sorted(set(look.get_table_names()) - {"alembic_version"}):
        columns = look.get_columns(table)
        found[table] = {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in columns],
            "key": look.get_pk_constraint(table),
            "unique": sorted(
                (u["column_names"], u["name"]) for u in look.get_unique_constraints(table)
            ),
            "references": sorted(
                (f["constrained_columns"], f["referred_table"], f["referred_columns"], f["name"])
                for f in look.get_foreign_keys(table)
            ),
            "indexes": sorted((i["column_names"], i["name"]) for i in look.get_indexes(table)),
        }
    return found


def test_migrations_end_at_the_tables_of_the_code(database: Database, tmp_path: Path) -> None:
    """A server that was updated would miss a column that a new one has."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    made = sa.create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(made)
    assert schema(database.engine) == schema(made)
    made.dispose()


def test_numbers_of_rows_are_never_given_twice(database: Database) -> None:
    """A page token or the index would take a new row for one that was deleted."""
    with database.write() as connection:
        connection.execute(banks.insert().values(**BANK))
        connection.execute(banks.delete())
        inserted = connection.execute(banks.insert().values(**BANK)).inserted_primary_key
        assert inserted is not None
        assert inserted[0] == 2
    numbered = sa.text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")
    with database.read() as connection:
        found = set(connection.execute(numbered).scalars())
    assert found == {
        "banks",
        "callers",
        "cases",
        "changes",
        "entries",
        "imports",
        "screenings",
    }


def test_migrating_again_changes_nothing(database: Database) -> None:
    """The second start of a server would lose what the first stored."""
    with database.write() as connection:
        connection.execute(banks.insert().values(**BANK))
    before = schema(database.engine)
    database.migrate()
    assert schema(database.engine) == before
    assert names(database) == ["a"]


def test_servers_may_migrate_at_once(path: Path) -> None:
    """Of two replicas started together one would die."""
    code = """
import sys
from hashmatch.store.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
database.migrate()
"""
    command = [sys.executable, "-c", code, f"sqlite:///{path}"]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    codes = []
    for process in processes:
        process.communicate(timeout=60)
        codes.append(process.returncode)
    assert codes == [0, 0, 0]


def test_readers_do_not_wait_for_writers(database: Database) -> None:
    """Every screening would stall while a large entry is stored."""
    with database.write() as writing:
        writing.execute(banks.insert().values(**BANK))
        assert names(database) == []
    assert names(database) == ["a"]
    with database.read() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2


def test_a_reader_sees_one_state(database: Database) -> None:
    """The index would be loaded from two revisions, and miss what came between them."""
    count = sa.select(sa.func.count()).select_from(banks)
    with database.read() as reading:
        assert reading.execute(count).scalar() == 0
        with database.write() as connection:
            connection.execute(banks.insert().values(**BANK))
        assert reading.execute(count).scalar() == 0
    assert names(database) == ["a"]


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    """An entry could be stored without its hashes, and never match."""

    def half() -> None:
        with database.write() as connection:
            connection.execute(banks.insert().values(**BANK))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert names(database) == []


def test_a_server_that_is_killed_leaves_nothing_half_done(database: Database, path: Path) -> None:
    """A loss of power while an entry is stored would leave half of it."""
    with database.write() as connection:
        connection.execute(banks.insert().values(**BANK))
    code = """
import sys, time
from hashmatch.model.verdicts import EntryState
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.database import Database
from hashmatch.store.tables import banks
database = Database(sys.argv[1])
with database.write() as connection:
    connection.execute(banks.update().values(name="half"))
    print("written", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, f"sqlite:///{path}"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert names(database) == ["a"]
    with database.write() as connection:
        connection.execute(banks.update().values(name="whole"))
    assert names(database) == ["whole"]


def test_writers_wait_for_each_other(database: Database) -> None:
    """Two keepers who change the blocklist at once would undo each other, or get an error."""
    with database.write() as connection:
        connection.execute(banks.insert().values(**BANK))

    def count_up() -> None:
        for _ in range(10):
            with database.write() as connection:
                now = connection.execute(sa.select(banks.c.revision)).scalar_one()
                connection.execute(banks.update().values(revision=now + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(sa.select(banks.c.revision)).scalar_one() == 41


def test_rows_belong_to_something(database: Database) -> None:
    """An entry without a bank would match under no policy."""
    orphan = {
        **{key: BANK[key] for key in ("label", "revision", "create_time", "update_time")},
        "entry_id": "ent_1",
        "bank_seq": 7,
        "reference": "",
        "state": EntryState.ACTIVE,
        "kinds": (),
        "duration_ms": 0,
    }
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(entries.insert().values(**orphan))


def test_errors_say_nothing_of_values(database: Database) -> None:
    """A hash or a reference would end up in a log."""
    with database.write() as connection:
        connection.execute(banks.insert().values(**BANK))
    with pytest.raises(IntegrityError) as clash, database.write() as connection:
        connection.execute(banks.insert().values(**BANK))
    assert SECRET not in str(clash.value)
    with pytest.raises(StoreUnavailable) as caught, database.read() as connection:
        connection.execute(sa.text("SELECT :value FROM nowhere"), {"value": SECRET})
    assert "nowhere" not in str(caught.value)
    assert SECRET not in f"{caught.value}{caught.value.__cause__}"


def test_a_full_disk_is_said_so(database: Database) -> None:
    """A change that was not stored would be taken for made."""
    large = {**BANK, "label": SECRET * 1_000_000}

    def write() -> None:
        with database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
            connection.execute(banks.insert().values(**large))

    with pytest.raises(StoreUnavailable, match="is the disk full") as caught:
        write()
    assert SECRET not in f"{caught.value}{caught.value.__cause__}"
    assert names(database) == []


def test_a_file_that_is_no_database(path: Path) -> None:
    """The server would start with a traceback instead of a sentence."""
    path.write_bytes(b"not a database" * 1000)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match="is the disk full, the file damaged"):
        database.migrate()
    database.close()


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """Likewise."""
    database = Database(f"sqlite:///{tmp_path / 'gone' / 'hashmatch.db'}")
    with pytest.raises(StoreUnavailable):
        database.migrate()
    database.close()


def test_a_file_that_is_damaged_in_the_middle(database: Database, path: Path) -> None:
    """Entries on a damaged page would silently not match any more."""
    with database.write() as connection:
        for number in range(500):
            row = {**BANK, "bank_id": f"bnk_{number}", "name": f"{number}", "label": "x" * 200}
            connection.execute(banks.insert().values(**row))
    database.close()
    assert not path.with_name("hashmatch.db-wal").exists()
    data = bytearray(path.read_bytes())
    # All but the schema, so that the damage is met wherever the rows lie.
    for start in range(4096 * 20, len(data), 4096):
        data[start : start + 100] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(StoreUnavailable):
        names(database)


def test_a_database_of_a_newer_version(database: Database) -> None:
    """A server that was set back would meet tables it does not know, and say nothing useful."""
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnavailable, match="another version"):
        database.migrate()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_stored_by_the_first_version_is_kept(backend: str, tmp_path: Path) -> None:
    """An upgrade would lose the blocklist, or the verdicts that were answered."""
    with unmigrated(backend, tmp_path) as database:
        database.migrate("0001")
        later = {"batch", "provenance", "proposed_by", "approved_by", "expire_ms"}
        later |= {"import_seq", "content", "left_batch", "quarantine_ms", "release_ms"}
        columns = {column.name for column in entries.columns} - later
        entry = {
            "seq": 7,
            "entry_id": "ent_1",
            "bank_seq": 3,
            "reference": "case 12",
            "label": "",
            "state": EntryState.ACTIVE,
            "kinds": [[1, 1, 1], [6, 1, 1]],
            "coverage": None,
            "coverage_reasons": [],
            "duration_ms": 0,
            "revision": 2,
            "create_ms": 0,
            "update_ms": 0,
        }
        assert set(entry) == columns
        hashes = {"digests": bytes(32), "quality": b"d", "pts_ms": bytes(8), "view": b"\x08"}
        with database.write() as connection:
            connection.execute(banks.insert().values(**{**BANK, "seq": 3}))
            connection.execute(kept(entries).insert().values(**entry))
            # The other is a square without a place, as there were once.
            for kind in (1, 6):
                connection.execute(entry_signals.insert().values(entry_seq=7, kind=kind, **hashes))
            connection.execute(
                kept(changes)
                .insert()
                .values(
                    revision=2,
                    at_ms=0,
                    what="entry_created",
                    bank_seq=3,
                    entry_seq=7,
                    request_id="r",
                    fingerprint="f",
                    after={},
                )
            )
        database.migrate()
        store = BlocklistStore(database)
        entry_1 = store.get_entry("ent_1")
        assert (entry_1.ref.reference, entry_1.kinds) == ("case 12", (KindCount(Kind.PDQ, 1, 1),))
        with store.load() as active:
            assert active.revision == 2
            assert [part.entry.tolist() for part in active.signals] == [[7]]
        # Banks act as they did: on whatever was near enough.
        assert store.get_bank("bnk_1").policy == BankPolicy(block_score=0)
        # Each store has a name of its own.
        assert len(store.store_id()) == 32


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_of_the_version_before_goes_on_writing_screenings(
    backend: str, tmp_path: Path
) -> None:
    """While servers are updated one by one, uploads to the older ones would fail; or the newer ones
    could not read what those wrote.
    """
    before = {
        "screening_id": "scr_1",
        "create_ms": 5,
        "verdict": Verdict.NO_MATCH,
        "sha256": b"x" * 32,
        "media": {},
        "coverage": {"complete": True},
        "coverage_reasons": [],
        "hash_versions": {"1": "3"},
        "caller": "",
    }
    reasons = [{"code": 3, "detail": "nothing matched"}]
    with unmigrated(backend, tmp_path) as database:
        database.migrate()
        assert set(before) | {"seq", "seed", "look_version"} == set(kept(screenings).columns.keys())
        with database.write() as connection:
            seq = connection.execute(
                kept(screenings).insert().values(before).returning(screenings.c.seq)
            ).scalar_one()
            connection.execute(
                kept(judgements)
                .insert()
                .values(
                    screening_seq=seq,
                    number=1,
                    request_id="r",
                    fingerprint="f",
                    at_ms=7,
                    verdict=Verdict.NO_MATCH,
                    revision=1,
                    reasons=reasons,
                    evidence=[],
                    elapsed_ms=0.0,
                )
            )
        store = ScreeningStore(database)
        stored = store.get_stored("scr_1")
        assert (stored.seed, stored.screening.look_version) == (None, "")
        assert stored.screening.coverage == Coverage(complete=True)
        assert store.find_whole(b"x" * 32, "decoder 1, sampler 1") is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_held_back_before_there_were_cases_has_one(backend: str, tmp_path: Path) -> None:
    """Nobody would ever look at what waited when the server was updated."""
    evidence = [{"entry": {"entry_id": "ent_1"}, "action": 1}]
    with unmigrated(backend, tmp_path) as database:
        database.migrate("0009")
        with database.write() as connection:
            for seq, verdict in enumerate((1, 2, 3, 2), 1):
                connection.execute(
                    sa.text(
                        "INSERT INTO screenings (seq, screening_id, create_ms, verdict, sha256, "
                        "media, coverage, coverage_reasons, hash_versions, caller) VALUES "
                        "(:seq, :id, :seq, :verdict, :sha256, '{}', '{}', '[]', '{}', '')"
                    ),
                    {"seq": seq, "id": f"scr_{seq}", "verdict": verdict, "sha256": b"x"},
                )
                for number in (1, 2):
                    connection.execute(
                        kept(judgements)
                        .insert()
                        .values(
                            screening_seq=seq,
                            number=number,
                            request_id=f"{seq} {number}",
                            fingerprint="",
                            at_ms=7,
                            verdict=verdict,
                            revision=1,
                            reasons=[],
                            evidence=evidence if verdict > 1 and number == 2 else [],
                            elapsed_ms=0.0,
                        )
                    )
        database.migrate()
        found = CaseStore(database).list(0, 9, None, None, None).items
        assert [each.screening_id for each in found] == ["scr_4", "scr_2"]
        assert [each.case_id for each in found] == ["cas_4", "cas_2"]
        with database.read() as connection:
            held = connection.execute(sa.select(matched.c.screening_seq, matched.c.entry_id)).all()
        assert sorted(map(tuple, held)) == [(seq, "ent_1") for seq in (2, 3, 4)]
