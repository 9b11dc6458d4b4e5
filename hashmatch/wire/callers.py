"""Callers and rows of the audit trail, both ways."""

from __future__ import annotations

import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from hashmatch.model.callers import Caller, CallerState, Credential, KnownCaller, Role
from hashmatch.model.records import AuditRow
from hashmatch.v1 import access_service_pb2 as pb
from hashmatch.wire.enums import known, to_wire
from hashmatch.wire.records import instant, timestamp

__all__ = [
    "audit_row_from_wire",
    "audit_row_to_wire",
    "caller_from_wire",
    "known_caller_from_wire",
    "known_caller_to_wire",
    "self_to_wire",
]


def self_to_wire(caller: Caller) -> pb.Caller:
    """What a caller is told of itself."""
    return pb.Caller(
        caller_id=caller.caller_id,
        name=caller.name,
        roles=[to_wire(role) for role in sorted(caller.roles)],
        banks=sorted(caller.banks or ()),
        all_banks=caller.banks is None,
        state=to_wire(CallerState.ACTIVE),
    )


def caller_from_wire(message: pb.Caller) -> Caller:
    """What `self_to_wire` made."""
    return Caller(
        message.caller_id,
        message.name,
        frozenset(known(Role, role) for role in message.roles),
        None if message.all_banks else frozenset(message.banks),
    )


def known_caller_to_wire(caller: KnownCaller) -> pb.Caller:
    """A record as a message."""
    return pb.Caller(
        caller_id=caller.caller_id,
        name=caller.name,
        roles=[to_wire(role) for role in sorted(caller.roles)],
        banks=sorted(caller.banks or ()),
        all_banks=caller.banks is None,
        credential=to_wire(caller.credential),
        certificate=caller.certificate,
        state=to_wire(caller.state),
        create_time=timestamp(caller.create_time),
        expire_time=_optional(caller.expire_time),
        revoke_time=_optional(caller.revoke_time),
    )


def known_caller_from_wire(message: pb.Caller) -> KnownCaller:
    """A message as a record."""
    return KnownCaller(
        caller_id=message.caller_id,
        name=message.name,
        roles=frozenset(known(Role, role) for role in message.roles),
        banks=None if message.all_banks else frozenset(message.banks),
        credential=known(Credential, message.credential),
        certificate=message.certificate,
        state=known(CallerState, message.state),
        create_time=instant(message.create_time),
        expire_time=instant(message.expire_time) if message.HasField("expire_time") else None,
        revoke_time=instant(message.revoke_time) if message.HasField("revoke_time") else None,
    )


def audit_row_to_wire(row: AuditRow) -> pb.AuditRow:
    """A record as a message."""
    return pb.AuditRow(
        row=row.row,
        time=timestamp(row.time),
        actor=row.actor,
        actor_name=row.actor_name,
        action=row.action,
        subject=row.subject,
        revision=row.revision,
        details=row.details,
    )


def audit_row_from_wire(message: pb.AuditRow) -> AuditRow:
    """A message as a record."""
    return AuditRow(
        row=message.row,
        time=instant(message.time),
        actor=message.actor,
        actor_name=message.actor_name,
        action=message.action,
        subject=message.subject,
        revision=message.revision,
        details=message.details,
    )


def _optional(time: datetime.datetime | None) -> Timestamp | None:
    return None if time is None else timestamp(time)
