"""Types of columns: what a record says, as a database keeps it.

Bytes in a database are a promise to every later version: a new type may read more, and writes what
the old one wrote.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import json
from typing import Annotated, Any, Final, TypeVar, cast

import pydantic
import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from hashmatch.model.records import Bank, KindCount

__all__ = [
    "Instant",
    "Json",
    "KindCounts",
    "Name",
    "Number",
    "Seed",
    "from_json",
    "from_ms",
    "now",
    "stored",
    "to_json",
    "to_ms",
]

T = TypeVar("T")

_SEED_BYTES: Final = 16


def _named(counts: Any) -> Any:
    names = (each.name for each in dataclasses.fields(KindCount))
    return counts if isinstance(counts, KindCount) else dict(zip(names, counts, strict=True))


# An entry's counts, one list ``[kind, count, usable]`` for each kind.
KindCounts = tuple[
    Annotated[
        KindCount,
        pydantic.BeforeValidator(_named),
        pydantic.PlainSerializer(lambda counts: (counts.kind, counts.count, counts.usable)),
    ],
    ...,
]


# Compiled once for each type.
@functools.cache
def _adapter(of: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(of)


def to_ms(instant: datetime.datetime) -> int:
    """Milliseconds of Unix time."""
    return round(instant.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime.datetime:
    """The instant, in UTC. Raises ``ValueError`` or ``OverflowError`` before year 1, after 9999."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def now() -> datetime.datetime:
    """The present instant, to the millisecond, as a database gives it back."""
    return from_ms(to_ms(datetime.datetime.now(datetime.UTC)))


def to_json(value: object) -> Any:
    """A record as JSON, with enumerations as numbers and instants as texts."""
    of: Any = type(value)
    return _adapter(of).dump_python(value, mode="json", warnings="error")


def from_json(of: type[T], value: Any) -> T:
    """A record from `to_json`. Raises ``pydantic.ValidationError``."""
    if of is Bank:  # Banks had no policy once, and blocked at any score.
        value = {"policy": {"block_score": 0}, **value}
    return cast("T", _adapter(cast("Any", of)).validate_python(value))


class Number(sa.types.TypeDecorator[Any]):
    """Members of an ``IntEnum``, kept as their numbers. Reading an unknown number raises
    ``KeyError``.
    """

    impl: Any = sa.Integer
    cache_ok = True

    def __init__(self, members: type[enum.Enum]) -> None:
        """``members`` is the enumeration."""
        super().__init__()
        self.members = members
        self._by_value = {member.value: member for member in members} | {None: None}

    def process_bind_param(self, value: Any, _: Dialect) -> Any:
        """A member's value; other values only if they are a member's."""
        return None if value is None else self.members(value).value

    def process_result_value(self, value: Any, _: Dialect) -> Any:
        """The member."""
        return self._by_value[value]


class Name(Number):
    """Members of a ``StrEnum``, kept as texts."""

    impl = sa.Text
    cache_ok = True


class Instant(sa.types.TypeDecorator[datetime.datetime]):
    """Instants in UTC, kept as milliseconds of Unix time."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, _: Dialect) -> int | None:
        """Milliseconds."""
        return None if value is None else to_ms(value)

    def process_result_value(self, value: int | None, _: Dialect) -> Any:
        """The instant."""
        return None if value is None else from_ms(value)

    def coerce_compared_value(self, _: Any, value: Any) -> Any:
        """Instants are compared with each other, or with milliseconds."""
        return self if isinstance(value, datetime.datetime) else sa.BigInteger()


class Json(sa.types.TypeDecorator[Any]):
    """A record, or what pydantic makes JSON of, kept as JSON; None as NULL. What is of another type
    is not written: it raises ``pydantic_core.PydanticSerializationError``.
    """

    impl = sa.JSON
    cache_ok = True

    def __init__(self, of: Any, without: str = "") -> None:
        """``of`` is the type; ``without`` a field of it that has a column of its own."""
        super().__init__(none_as_null=True)
        self.of = of
        self.without = without

    def process_bind_param(self, value: Any, _: Dialect) -> Any:
        """What the driver makes JSON of."""
        if value is None:
            return None
        exclude = {self.without} if self.without else None
        adapter = _adapter(self.of)
        return adapter.dump_python(value, mode="json", exclude=exclude, warnings="error")

    def process_result_value(self, value: Any, _: Dialect) -> Any:
        """The record. Raises ``pydantic.ValidationError``."""
        return None if value is None else _adapter(self.of).validate_python(value)


class Seed(sa.types.TypeDecorator[int]):
    """A `decoding.channel.Job.seed`, kept as 16 bytes, highest first."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: int | None, _: Dialect) -> bytes | None:
        """Bytes."""
        return None if value is None else value.to_bytes(_SEED_BYTES)

    def process_result_value(self, value: bytes | None, _: Dialect) -> int | None:
        """The number."""
        return None if value is None else int.from_bytes(value)


def stored(connection: sa.Connection, column: sa.Column[Any], value: object) -> object:
    """A value as the driver takes it where a statement does not name its column's type."""
    if isinstance(column.type, sa.types.TypeDecorator):
        value = column.type.process_bind_param(value, connection.dialect)
    is_json = isinstance(column.type, Json) and value is not None
    return json.dumps(value) if is_json else value
