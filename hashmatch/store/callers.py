"""Callers that were created here, and the hashes of what they show."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

import sqlalchemy as sa

from hashmatch.errors import CallerExists, CallerNotFound
from hashmatch.model import ids
from hashmatch.model.callers import CallerState, Credential, KnownCaller, Role
from hashmatch.model.commands import NewCaller, Request
from hashmatch.model.records import Page
from hashmatch.store import audit, codec, repeats
from hashmatch.store.database import Database
from hashmatch.store.rows import find_bank, key, page
from hashmatch.store.tables import callers

__all__ = ["CallerStore", "secret_of_certificate"]


def secret_of_certificate(common_name: str) -> bytes:
    """What a certificate's common name is looked up by. Never that of a token: no token has a zero
    character.
    """
    return hashlib.sha256(b"certificate\0" + common_name.encode()).digest()


class CallerStore:
    """Methods block; each is one transaction."""

    def __init__(self, database: Database) -> None:
        """``database`` is migrated."""
        self._database = database

    def create(self, request: Request, new: NewCaller) -> KnownCaller:
        """Raises `CallerExists`, `BankNotFound`, `RequestIdReused`."""
        with self._database.write_in_order() as connection:
            earlier = _select().where(callers.c.request_id == request.request_id)
            if row := connection.execute(earlier).first():
                repeats.check(request, row.fingerprint)
                return _to_caller(row)
            return _insert(connection, request, new)

    def create_first(self, new: NewCaller) -> KnownCaller | None:
        """Likewise, but only if there is no caller at all: None if there is."""
        with self._database.write_in_order() as connection:
            if connection.execute(sa.select(callers.c.seq).limit(1)).first():
                return None
            return _insert(connection, Request(ids.new_id(ids.CALLER), ""), new)

    def revoke(self, request: Request, caller: str) -> KnownCaller:
        """By id or name; once more changes nothing. Raises `CallerNotFound`."""
        found = _select().where(sa.or_(callers.c.caller_id == caller, callers.c.name == caller))
        with self._database.write_in_order() as connection:
            row = connection.execute(found).first()
            if row is None:
                raise CallerNotFound(f"caller: there is no caller {caller!r}")
            if row.revoke_ms is None:
                connection.execute(
                    callers.update()
                    .where(callers.c.seq == row.seq)
                    .values(revoke_ms=codec.now_ms())
                )
                audit.append(
                    connection,
                    "caller_revoked",
                    row.caller_id,
                    {"name": row.name},
                    actor=request.actor,
                )
            return _to_caller(connection.execute(found).one())

    def list(self, before: int, limit: int) -> Page[KnownCaller]:
        """Newest first; ``before`` is the token of the page before, 0 for the first."""
        with self._database.read() as connection:
            return page(connection, _select(), callers.c.seq, before, limit, _to_caller)

    def by_secret(self) -> dict[bytes, KnownCaller]:
        """All that were not revoked, by the hash of what they show. They may have expired."""
        with self._database.read() as connection:
            rows = connection.execute(_select().where(callers.c.revoke_ms.is_(None))).all()
        return {row.secret: _to_caller(row) for row in rows}


def _select() -> sa.Select[Any]:
    return sa.select(callers)


def _insert(connection: sa.Connection, request: Request, new: NewCaller) -> KnownCaller:
    secret = new.secret or secret_of_certificate(new.certificate)
    taken = sa.or_(callers.c.name == new.name, callers.c.secret == secret)
    if row := connection.execute(_select().where(taken)).first():
        what = "name" if row.name == new.name else "credential"
        raise CallerExists(f"{what}: another caller has it, or had it and was revoked")
    banks = None
    if new.banks is not None:
        banks = sorted({find_bank(connection, each).bank_id for each in new.banks})
    credential = Credential.TOKEN if new.secret else Credential.CERTIFICATE
    expire = new.expire_time
    inserted = connection.execute(
        callers.insert().values(
            caller_id=ids.new_id(ids.CALLER),
            name=new.name,
            roles=sorted(new.roles),
            banks=banks,
            credential=credential,
            secret=secret,
            certificate=new.certificate,
            create_ms=codec.now_ms(),
            expire_ms=None if expire is None else round(expire.timestamp() * 1000),
            request_id=request.request_id,
            fingerprint=request.fingerprint,
        )
    )
    made = _to_caller(connection.execute(_select().where(callers.c.seq == key(inserted))).one())
    details = {
        "name": made.name,
        "roles": [role.name for role in sorted(made.roles)],
        "banks": banks,
        "credential": credential.name,
        "expires": None if made.expire_time is None else made.expire_time.isoformat(),
    }
    audit.append(connection, "caller_created", made.caller_id, details, actor=request.actor)
    return made


def _to_caller(row: sa.Row[Any]) -> KnownCaller:
    expire = None if row.expire_ms is None else codec.from_ms(row.expire_ms)
    if row.revoke_ms is not None:
        state = CallerState.REVOKED
    elif expire is not None and expire <= datetime.datetime.now(datetime.UTC):
        state = CallerState.EXPIRED
    else:
        state = CallerState.ACTIVE
    return KnownCaller(
        caller_id=row.caller_id,
        name=row.name,
        roles=frozenset(map(Role, row.roles)),
        banks=None if row.banks is None else frozenset(row.banks),
        credential=Credential(row.credential),
        certificate=row.certificate,
        state=state,
        create_time=codec.from_ms(row.create_ms),
        expire_time=expire,
        revoke_time=None if row.revoke_ms is None else codec.from_ms(row.revoke_ms),
    )
