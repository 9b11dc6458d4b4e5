"""The connection to the database, its schema and its transactions."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import alembic.command
import alembic.config
import alembic.util
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from hashmatch.errors import ConfigInvalid, StoreUnavailable

__all__ = ["Database", "Listener", "Store"]

# How long one who writes waits for others that do.
_BUSY_SECONDS: Final = 10

# To PostgreSQL. More are opened for a while where more threads ask at once.
_CONNECTIONS: Final = 5
# In seconds, but for the last, in ms: a server that is gone without a word is noticed soon.
_CONNECTION: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

# How often SQLite is asked for changes of other processes.
_LOOK_SECONDS: Final = 0.1
_CHANNEL: Final = "hashmatch_changes"

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
                connect_args=_CONNECTION,
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

    def check(self, column: sa.Column[Any] | None = None) -> None:
        """Raises `ConfigInvalid` if there is no store here, or it is too old to have the audit
        trail or a ``column``: to look at it makes none.
        """
        file = self.engine.url.database
        if not self.is_postgresql and not (file and Path(file).is_file()):
            raise ConfigInvalid("No database found; pass --data or --database", setting="database")
        found = sa.inspect(self.engine)
        if not found.has_table("audit") or (
            column is not None
            and column.name not in {each["name"] for each in found.get_columns(column.table.name)}
        ):
            raise ConfigInvalid(
                "database: the store is of an older version; start the server once",
                setting="database",
            )

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

    def announce(self, connection: sa.Connection) -> None:
        """Lets every `Listener` know when the transaction of ``connection`` ends."""
        if self.is_postgresql:
            connection.execute(sa.select(sa.func.pg_notify(_CHANNEL, "")))

    @contextlib.contextmanager
    def listen(self) -> Iterator[Listener]:
        """From now on, announcements wake it. Raises `StoreUnavailable`, then or later."""
        with _translated(), self.engine.connect() as connection:
            try:
                yield (_PostgresListener if self.is_postgresql else _SqliteListener)(connection)
            finally:
                connection.invalidate()  # It listens: nobody else is to get it, broken or not.

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


class Store:
    """A part of what a database keeps. Methods block; each is one transaction."""

    def __init__(self, database: Database) -> None:
        """``database`` is migrated."""
        self._database = database


class Listener(Protocol):
    """Waits for what others write."""

    def wait(self, seconds: float) -> bool:
        """True as soon as something may have been written, false after ``seconds``. Raises
        `StoreUnavailable`.
        """


class _PostgresListener:
    def __init__(self, connection: sa.Connection) -> None:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(f"LISTEN {_CHANNEL}")
        self._driver: Any = connection.connection.driver_connection

    def wait(self, seconds: float) -> bool:
        try:
            return any(True for _ in self._driver.notifies(timeout=seconds, stop_after=1))
        except Exception as error:  # The driver's, which is imported where it is used alone.
            raise _unavailable(error) from error


class _SqliteListener:
    """Asks for a number that another process's commit changes, without reading the file."""

    def __init__(self, connection: sa.Connection) -> None:
        self._driver: Any = connection.connection.driver_connection
        self._version = self._asked()

    def wait(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while (version := self._asked()) == self._version:
            if time.monotonic() >= until:
                return False
            time.sleep(min(seconds, _LOOK_SECONDS))
        self._version = version
        return True

    def _asked(self) -> int:
        try:
            return int(self._driver.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise _unavailable(error) from error


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.IntegrityError:
        raise  # The caller's to understand.
    except SQLAlchemyError as error:
        raise _unavailable(getattr(error, "orig", None) or error) from error


def _unavailable(error: BaseException) -> StoreUnavailable:
    # The text of the error may hold values: only its type is told.
    return StoreUnavailable(
        f"the store cannot be used ({type(error).__name__}); is the disk full, the file damaged, "
        "or the server gone?"
    )


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
