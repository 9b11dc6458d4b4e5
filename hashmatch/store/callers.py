"""Callers that were created here, and the hashes of what they show."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from hashmatch.errors import CallerExists, CallerNotFound
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.callers import SERVER, CallerState, Credential, KnownCaller
from hashmatch.model.commands import NewCaller
from hashmatch.model.records import Page
from hashmatch.store import audit, repeats
from hashmatch.store.database import Store
from hashmatch.store.rows import find_bank, key, page, record
from hashmatch.store.tables import callers
from hashmatch.store.types import now

__all__ = ["CallerStore", "secret_of_certificate"]


def secret_of_certificate(common_name: str) -> bytes:
    """What a certificate's common name is looked up by. Never that of a token: no token has a zero
    character.
    """
    return hashlib.sha256(b"certificate\0" + common_name.encode()).digest()


class CallerStore(Store):
    """Methods block; each is one transaction."""

    def create(self, call: Call, new: NewCaller) -> KnownCaller:
        """Raises `CallerExists`, `BankNotFound`, `RequestIdReused`."""
        with self._database.write_in_order() as connection:
            if row := repeats.earlier(connection, _select(), callers, call):
                return _to_caller(row)
            return _insert(connection, call, new)

    def create_first(self, new: NewCaller) -> KnownCaller | None:
        """Likewise, but only if there is no caller at all: None if there is."""
        with self._database.write_in_order() as connection:
            if connection.execute(sa.select(callers.c.seq).limit(1)).first():
                return None
            return _insert(connection, Call(SERVER, ids.new_id(ids.CALLER)), new)

    def revoke(self, call: Call, caller: str) -> KnownCaller:
        """By id or name; once more changes nothing. Raises `CallerNotFound`."""
        found = _select().where(sa.or_(callers.c.caller_id == caller, callers.c.name == caller))
        with self._database.write_in_order() as connection:
            row = connection.execute(found).first()
            if row is None:
                raise CallerNotFound(f"caller: there is no caller {caller!r}")
            if row.revoke_time is None:
                connection.execute(
                    callers.update().where(callers.c.seq == row.seq).values(revoke_time=now())
                )
                audit.append(
                    connection,
                    "caller_revoked",
                    row.caller_id,
                    {"name": row.name},
                    actor=call.actor,
                )
            return _to_caller(connection.execute(found).one())

    def list(self, before: int, limit: int) -> Page[KnownCaller]:
        """Newest first; ``before`` is the token of the page before, 0 for the first."""
        with self._database.read() as connection:
            return page(connection, _select(), callers.c.seq, before, limit, _to_caller)

    def by_secret(self) -> dict[bytes, KnownCaller]:
        """All that were not revoked, by the hash of what they show. They may have expired."""
        with self._database.read() as connection:
            rows = connection.execute(_select().where(callers.c.revoke_time.is_(None))).all()
        return {row.secret: _to_caller(row) for row in rows}


def _select() -> sa.Select[Any]:
    return sa.select(callers)


def _insert(connection: sa.Connection, call: Call, new: NewCaller) -> KnownCaller:
    secret = new.secret or secret_of_certificate(new.certificate)
    taken = sa.or_(callers.c.name == new.name, callers.c.secret == secret)
    if row := connection.execute(_select().where(taken)).first():
        what = "name" if row.name == new.name else "credential"
        raise CallerExists(f"{what}: another caller has it, or had it and was revoked")
    banks = None
    if new.banks is not None:
        banks = sorted({find_bank(connection, each).bank_id for each in new.banks})
    credential = Credential.TOKEN if new.secret else Credential.CERTIFICATE
    inserted = connection.execute(
        callers.insert().values(
            caller_id=ids.new_id(ids.CALLER),
            name=new.name,
            roles=tuple(sorted(new.roles)),
            banks=None if banks is None else tuple(banks),
            credential=credential,
            secret=secret,
            certificate=new.certificate,
            create_time=now(),
            expire_time=new.expire_time,
            request_id=call.request_id,
            fingerprint=call.fingerprint,
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
    audit.append(connection, "caller_created", made.caller_id, details, actor=call.actor)
    return made


def _to_caller(row: sa.Row[Any]) -> KnownCaller:
    state = CallerState.ACTIVE
    if row.revoke_time is not None:
        state = CallerState.REVOKED
    elif row.expire_time is not None and row.expire_time <= now():
        state = CallerState.EXPIRED
    banks = None if row.banks is None else frozenset(row.banks)
    return record(KnownCaller, row, roles=frozenset(row.roles), banks=banks, state=state)
