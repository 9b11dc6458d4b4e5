"""The connection to the database, its schema and its transactions."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import alembic.command
import alembic.config
import alembic.util
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from hashmatch.errors import ConfigInvalid, StoreUnavailable

__all__ = ["Database"]

# How long one who writes waits for others that do.
_BUSY_SECONDS: Final = 10

# To PostgreSQL. More are opened for a while where more threads ask at once.
_CONNECTIONS: Final = 5
_CONNECT_SECONDS: Final = 5

# Locks that servers on one PostgreSQL take; any numbers that nobody else uses.
_MIGRATING: Final = 0x686D_0001
_WRITING: Final = 0x686D_0002


class Database:
    """One database, of SQLite or PostgreSQL. Its methods block: call them from a thread."""

    def __init__(self, url: str) -> None:
        """``url`` as SQLAlchemy's, e.g. ``sqlite:////var/lib/hashmatch/hashmatch.db`` or
        ``postgresql://user:password@host/name``. Raises `ConfigInvalid`.
        """
        try:
            made = sa.make_url(url)
        except sa.exc.ArgumentError:  # Its text has the password.
            raise ConfigInvalid(
                "database: this is no URL of a database", setting="database"
            ) from None
        backend = made.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise ConfigInvalid(
                f"database: {backend} is not supported; sqlite and postgresql are",
                setting="database",
            )
        # Errors name the statement and never its values, which may be hashes.
        if backend == "sqlite":
            self.engine = sa.create_engine(made, hide_parameters=True)
            sa.event.listen(self.engine, "connect", _set_up_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = sa.create_engine(
                made.set(drivername="postgresql+psycopg"),
                hide_parameters=True,
                pool_size=_CONNECTIONS,
                # A connection that broke meanwhile is replaced, not handed out.
                pool_pre_ping=True,
                connect_args={"connect_timeout": _CONNECT_SECONDS},
                # What is read together is of one moment; so it is on SQLite.
                isolation_level="REPEATABLE READ",
            )

    @property
    def is_postgresql(self) -> bool:
        """True if several servers may be on several machines."""
        return self.engine.dialect.name == "postgresql"

    def migrate(self, version: str = "head") -> None:
        """Brings the schema to the present version, or one before. Raises `StoreUnavailable`."""
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.write(lock=_MIGRATING) as connection:
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, version)
            except alembic.util.CommandError as error:
                raise StoreUnavailable(
                    f"the store was made by another version of hashmatch ({error}); "
                    "run that version or a newer one"
                ) from error

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent view of the data. Raises `StoreUnavailable`."""
        with _translated(), self.engine.connect() as connection:
            connection.execution_options(hashmatch_writes=False)
            yield connection

    @contextlib.contextmanager
    def write(self, *, lock: int = 0) -> Iterator[sa.Connection]:
        """A transaction: all of it is kept if the block ends, none of it if the block raises.

        On SQLite writers wait for each other from the beginning, so that none has to be undone.
        On PostgreSQL those with the same ``lock`` do.
        """
        with _translated(), self.engine.connect() as connection:
            connection.execution_options(hashmatch_writes=True)
            if self.is_postgresql:
                # So that what others wrote before is seen, once a lock is held.
                connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                if lock and self.is_postgresql:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
                yield connection

    def write_in_order(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Likewise; of those that write so, a later one gets a higher revision and ends later."""
        return self.write(lock=_WRITING)

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.IntegrityError:
        raise  # The caller's to understand.
    except SQLAlchemyError as error:
        # The text of the error may hold values: only its type is told.
        raise StoreUnavailable(
            f"the store cannot be used ({type(getattr(error, 'orig', None) or error).__name__}); "
            "is the disk full or the file damaged?"
        ) from error


def _set_up_sqlite(connection: Any, _: object) -> None:
    # Transactions are begun by _begin_sqlite, not by the driver.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    # Readers do not wait for the writer, and what was committed survives a loss of power.
    _set_journal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _set_journal(connection: Any) -> None:
    """Makes a new database a WAL one. SQLite does not wait for another that does the same."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("hashmatch_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
