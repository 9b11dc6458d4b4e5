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

from hashmatch.errors import StoreUnavailable

__all__ = ["Database"]

# How long one who writes waits for others that do.
_BUSY_SECONDS: Final = 10


class Database:
    """One database. Its methods block: call them from a thread."""

    def __init__(self, url: str) -> None:
        """``url`` as SQLAlchemy's, e.g. ``sqlite:////var/lib/hashmatch/hashmatch.db``."""
        # Errors name the statement and never its values, which may be hashes.
        self.engine = sa.create_engine(url, hide_parameters=True)
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _set_up_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)

    def migrate(self) -> None:
        """Brings the schema to the present version. Raises `StoreUnavailable`."""
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.write() as connection:
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, "head")
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
    def write(self) -> Iterator[sa.Connection]:
        """A transaction: all of it is kept if the block ends, none of it if the block raises.

        On SQLite writers wait for each other from the beginning, so that none has to be undone.
        """
        with _translated(), self.engine.connect() as connection:
            connection.execution_options(hashmatch_writes=True)
            with connection.begin():
                yield connection

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
