"""Fields of requests, checked. All raise `InvalidField`, which names the field."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable
from typing import Final

from google.protobuf.message import Message

from hashmatch.errors import InvalidField
from hashmatch.model.call import Call
from hashmatch.model.changes import Position
from hashmatch.model.records import BankPolicy, Provenance
from hashmatch.model.verdicts import BankMode, Category, Kind
from hashmatch.server.grpc.access_interceptor import current_caller
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.wire.enums import from_wire, optional_from_wire
from hashmatch.wire.records import policy_from_wire, provenance_from_wire

__all__ = [
    "change",
    "expiry",
    "identified",
    "instant",
    "name",
    "page_size",
    "page_token",
    "paragraphs",
    "policy",
    "position",
    "provenance",
    "reading",
    "request_id",
    "required",
    "since_ms",
    "size_bytes",
    "text",
    "thresholds",
]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_NAME: Final = 64
_DEFAULT_PAGE: Final = 100
_LARGEST_PAGE: Final = 1000
_MOST_SEVERE: Final = 4
_LONGEST_OF_PROVENANCE: Final = {"note": 2000, "language": 35}  # 256 characters of others.
_MOST_OF_POLICY: Final = {
    "traffic_percent": 100,
    "block_score": 100,
    "review_score": 100,
    "flood_limit": 1_000_000,
}


def request_id(value: str) -> str:
    """What makes a call safe to repeat."""
    if not _REQUEST_ID.fullmatch(value):
        raise InvalidField(
            "request_id", "1 to 64 letters, digits, '-' and '_' are needed; a UUID is best"
        )
    return value


def reading() -> Call:
    """The call of the current caller, which changes nothing."""
    return Call(current_caller())


def change(message: Message, given_id: str) -> Call:
    """The call of the current caller, which changes something: with its id, and a hash of all that
    it says.
    """
    said = message.SerializeToString(deterministic=True)
    fingerprint = hashlib.sha256(type(message).__name__.encode() + said).hexdigest()
    return identified(given_id, fingerprint)


def identified(given_id: str, fingerprint: str) -> Call:
    """The call of the current caller: nobody is given another's answer."""
    caller = current_caller()
    own = f"{caller.caller_id} {fingerprint}".lstrip()
    return Call(caller, request_id(given_id), own)


def instant(message: Message, field: str) -> datetime.datetime | None:
    """An instant of a message, in UTC; None if it is absent."""
    if not message.HasField(field):
        return None
    try:
        moment: datetime.datetime = getattr(message, field).ToDatetime(tzinfo=datetime.UTC)
    except ValueError:
        raise InvalidField(field, "is no instant") from None
    return moment


def since_ms(message: Message, field: str) -> int | None:
    """As `instant`, in milliseconds of Unix time."""
    moment = instant(message, field)
    return None if moment is None else round(moment.timestamp() * 1000)


def expiry(message: Message) -> datetime.datetime | None:
    """The instant ``expire_time`` of a message, which is to come; None if it is absent."""
    moment = instant(message, "expire_time")
    if moment is not None and moment <= datetime.datetime.now(datetime.UTC):
        raise InvalidField("expire_time", "is over already")
    return moment


def required(field: str, value: str) -> str:
    """A text that names something."""
    if not value:
        raise InvalidField(field, "is not given")
    if len(value) > _LONGEST_NAME:
        # Errors quote it, and an error has little room.
        raise InvalidField(field, f"{len(value)} characters; no id or name has so many")
    if not value.isprintable():
        # PostgreSQL has no room for a zero character, not even in what is looked for.
        raise InvalidField(field, "has a character that cannot be printed")
    return value


def text(field: str, value: str, longest: int) -> str:
    """A text for people: printable, up to ``longest`` characters."""
    if len(value) > longest:
        raise InvalidField(field, f"{len(value)} characters; at most {longest} are allowed")
    if not value.isprintable():
        raise InvalidField(field, "has a character that cannot be printed")
    return value


def paragraphs(field: str, value: str, longest: int) -> str:
    """A text for people that may have several lines."""
    text(field, value.replace("\n", " "), longest)
    return value


def name(value: str, prefix: str) -> str:
    """A name that cannot be taken for an id, which begins with ``prefix``."""
    if not _NAME.fullmatch(value) or value.startswith(prefix):
        raise InvalidField(
            "name",
            f"1 to 64 letters, digits, '.', '-' and '_' are needed, not beginning {prefix!r}",
        )
    return value


def size_bytes(value: int) -> int:
    """An announced size; 0 if not known."""
    if value < 0:
        raise InvalidField("size_bytes", f"{value} is below 0")
    return value


def page_size(value: int) -> int:
    """How many items a page may have."""
    if not 0 <= value <= _LARGEST_PAGE:
        raise InvalidField("page_size", f"{value} is not within 0 and {_LARGEST_PAGE}")
    return value or _DEFAULT_PAGE


def page_token(value: str) -> int:
    """Where a page begins; 0 for the first."""
    if not value:
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,17}", value):
        raise InvalidField("page_token", "is not one that this server gave")
    return int(value)


def position(after_revision: int, resume_token: str) -> Position:
    """From where on changes are watched."""
    if resume_token and after_revision:
        raise InvalidField("resume_token", "goes instead of after_revision; one is needed")
    if after_revision < 0:
        raise InvalidField("after_revision", f"{after_revision} is below 0")
    if not resume_token:
        return Position(after_revision)
    try:
        return Position.from_token(resume_token)
    except ValueError as error:
        raise InvalidField("resume_token", str(error)) from None


def thresholds(messages: Iterable[blocklist_pb.KindThreshold]) -> dict[Kind, int]:
    """Kinds of a bank with their thresholds."""
    chosen: dict[Kind, int] = {}
    for message in messages:
        kind = from_wire(Kind, message.kind, "kinds.kind")
        if kind in chosen:
            raise InvalidField("kinds", f"{kind.name} comes twice")
        chosen[kind] = message.max_distance
    return chosen


def policy(message: blocklist_pb.BankPolicy) -> BankPolicy:
    """A bank's policy."""
    optional_from_wire(BankMode, message.mode, "policy.mode")
    for field, value in message.ListFields():
        if field.name != "mode" and value > (most := _MOST_OF_POLICY[field.name]):
            raise InvalidField(f"policy.{field.name}", f"{value} is not within 0 and {most}")
    return policy_from_wire(message)


def provenance(message: blocklist_pb.Provenance) -> Provenance:
    """Why an entry is there."""
    if message.severity > _MOST_SEVERE:
        raise InvalidField("severity", f"{message.severity} is not within 0 and {_MOST_SEVERE}")
    optional_from_wire(Category, message.category, "category")
    for field, value in message.ListFields():
        if isinstance(value, str):
            check = paragraphs if field.name == "note" else text
            check(field.name, value, _LONGEST_OF_PROVENANCE.get(field.name, 256))
    return provenance_from_wire(message)
