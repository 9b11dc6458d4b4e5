"""What an operator does to the database itself, without a server."""

from __future__ import annotations

import contextlib

from hashmatch.config import Settings
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.callers import SERVER, KnownCaller, Role, hash_of_token
from hashmatch.model.commands import NewCaller
from hashmatch.model.records import AuditReport
from hashmatch.server.grpc import fields
from hashmatch.store.audit import Audit
from hashmatch.store.callers import CallerStore
from hashmatch.store.database import Database

__all__ = ["recover_admin", "verify_audit"]


def recover_admin(settings: Settings, name: str, token: str) -> KnownCaller:
    """Creates a caller with the role of an admin, which has ``token``. Raises `InvalidField`,
    `CallerExists`, `StoreUnavailable`.
    """
    with contextlib.closing(Database(settings.database_url)) as database:
        if not database.is_postgresql:
            database.check()  # A wrong folder would get a store of its own.
        database.migrate()
        new = NewCaller(
            fields.name(name, ids.CALLER), frozenset({Role.ADMIN}), secret=hash_of_token(token)
        )
        return CallerStore(database).create(Call(SERVER, ids.new_id(ids.CALLER)), new)


def verify_audit(settings: Settings, noted: bytes | None) -> AuditReport:
    """What is amiss with the chain of the audit trail. ``noted`` is the hash of a row that was
    written down elsewhere; None if none was. Raises `StoreUnavailable`.
    """
    with contextlib.closing(Database(settings.database_url)) as database:
        database.check()
        return Audit(database).verify(noted)
