"""Records to messages and back, driven by the fields of the dataclass and of the message.

A field of a record goes to the field of the message that has its name. Its type says how:

- a member of an ``IntEnum`` as its number, a ``datetime`` as ``Timestamp``, milliseconds as
  ``Duration`` where the message has one, a record as a message;
- a tuple or a frozenset as a repeated field, a frozenset sorted; a mapping as a repeated message of
  two fields, key and value, sorted by key;
- None as an absent field; all others as they are.

On the way back an absent message or ``optional`` field, or an unspecified enum, reads as the
default of the record's field (an older server does not send what is newer), or as None if the
record allows None; a number or a text that is not ``optional`` reads as 0 or empty. Any other
number of an enum must be known. A property of the record is sent under its name, and not read.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import types
import typing
from collections.abc import Callable, Collection, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from hashmatch.errors import Internal
from hashmatch.wire.enums import known

__all__ = ["instant", "timestamp", "translation"]

R = TypeVar("R")
M = TypeVar("M", bound=Message)

_Function = Callable[[Any], Any]
_MISSING: Final = dataclasses.MISSING
_NONE: Final[Mapping[str, _Function]] = types.MappingProxyType({})

# By type of record: to the arguments of its message, and back from its message.
_WAYS: Final[dict[type, tuple[_Function, _Function]]] = {}


def timestamp(instant: datetime.datetime) -> Timestamp:
    """An instant as a message."""
    message = Timestamp()
    message.FromDatetime(instant)
    return message


def instant(message: Timestamp) -> datetime.datetime:
    """A message as an instant, in UTC. Raises `Internal`."""
    try:
        return message.ToDatetime(tzinfo=datetime.UTC)
    except ValueError:
        raise Internal("the server sent an invalid timestamp") from None


def translation(
    record: type[R],
    message: type[M],
    *,
    names: Mapping[str, str] = types.MappingProxyType({}),
    write: Mapping[str, _Function] = _NONE,
    read: Mapping[str, _Function] = _NONE,
    unread: Collection[str] = (),
) -> tuple[Callable[[R], M], Callable[[M], R]]:
    """Record to message, and message to record. The second raises `Internal` for a message that no
    record can be made of. Records that hold one of this type, and come later, translate it alike.

    ``names``: fields of the record to their paths in the message, where these differ; a dotted path
    leads into a message that is no record. ``write``: fields of the message to functions of the
    record. ``read``: fields of the record to functions of the message. ``unread``: fields of the
    message that the record knows nothing of. Raises ``TypeError`` for any other field that only
    one of the two has.
    """
    fields = _fields(record, message.DESCRIPTOR, names)
    by_path = {field.path: field for field in fields if field.path not in write}
    writer = _writer(record, message.DESCRIPTOR, by_path, write, unread)
    reader = _reader(record, fields, read)
    _WAYS[record] = writer, reader
    return lambda it: message(**writer(it)), reader


class _Field(NamedTuple):
    """A field of a record: its path in the message, what is there, how a value goes out and comes
    back, and what an absent one reads as (`_MISSING` if there is no such value).
    """

    name: str
    path: str
    descriptor: Any
    write: _Function
    read: _Function
    default: Any


def _fields(record: Any, message: Any, names: Mapping[str, str]) -> list[_Field]:
    hints = typing.get_type_hints(record)
    fields = []
    for each in dataclasses.fields(record):
        path, hint = names.get(each.name, each.name), hints[each.name]
        default: Any = _MISSING
        if isinstance(hint, types.UnionType):
            (hint, _), default = typing.get_args(hint), None
        if each.default is not _MISSING:
            default = each.default
        elif each.default_factory is not _MISSING:
            default = each.default_factory()
        found: Any = None
        for name in path.split("."):
            within = found.message_type if found else message
            found = within.fields_by_name.get(name)
            if found is None:
                raise TypeError(f"{within.name} has no {name} for {record.__name__}")
        fields.append(_Field(each.name, path, found, *_ways(hint, found, default), default))
    return fields


def _ways(hint: Any, field: Any, default: Any = _MISSING) -> tuple[_Function, _Function]:
    """Two functions: from a value of a record to what the message takes, and from what it has."""
    container, arguments = typing.get_origin(hint), typing.get_args(hint)
    if container in (tuple, frozenset):
        write, read = _ways(arguments[0], field)
        order = sorted if container is frozenset else _itself
        return (
            lambda values: [write(each) for each in order(values)],
            lambda messages: container(map(read, messages)),
        )
    if container is Mapping:
        key, value = field.message_type.fields
        _, read = _ways(arguments[0], key)
        return (
            lambda pairs: [{key.name: each, value.name: pairs[each]} for each in sorted(pairs)],
            lambda pairs: {read(getattr(p, key.name)): getattr(p, value.name) for p in pairs},
        )
    if dataclasses.is_dataclass(hint):
        if hint not in _WAYS:  # All of its fields are alike, or this raises.
            translation(typing.cast(type, hint), field.message_type._concrete_class)
        return _WAYS[typing.cast(type, hint)]
    if issubclass(hint, enum.IntEnum):
        members = {0: default} if default is not _MISSING else {}
        members |= {int(each): each for each in hint}
        return _itself, lambda value: members[value] if value in members else known(hint, value)
    if hint is datetime.datetime:
        return _itself, instant
    if field.message_type is Duration.DESCRIPTOR:
        return (
            lambda ms: datetime.timedelta(microseconds=round(ms * 1000)),
            lambda duration: duration.ToMicroseconds() / 1000,
        )
    return _itself, _itself


def _writer(
    record: type,
    message: Any,
    fields: Mapping[str, _Field],
    special: Mapping[str, _Function] = _NONE,
    unread: Collection[str] = (),
) -> _Function:
    named: dict[str, str] = {}
    converted: list[tuple[str, _Function]] = []
    inner: dict[str, dict[str, _Field]] = {}
    for path, field in fields.items():
        head, _, rest = path.partition(".")
        if rest:
            inner.setdefault(head, {})[rest] = field
            continue
        named[path] = field.name
        if field.write is not _itself:
            converted.append((path, field.write))
    derived = dict(special)
    for head, within in inner.items():
        derived[head] = _writer(record, message.fields_by_name[head].message_type, within)
    for name in {*message.fields_by_name} - {*named, *derived, *unread}:
        if not isinstance(getattr(record, name, None), property):
            raise TypeError(f"{record.__name__} has nothing for {message.name}.{name}")
        named[name] = name
    names, get, others = tuple(named), _values(named.values()), tuple(derived.items())

    def write_fields(it: Any) -> dict[str, Any]:
        values = dict(zip(names, get(it)))  # noqa: B905 - strict takes a third longer
        for name, write in converted:
            if (value := values[name]) is not None:
                values[name] = write(value)
        for name, write in others:
            values[name] = write(it)
        return values

    return write_fields


def _reader(
    record: type[R], fields: Collection[_Field], special: Mapping[str, _Function]
) -> Callable[[Any], R]:
    always: list[tuple[int, _Function]] = []
    if_present: list[tuple[int, _Function, _Function, str, Any]] = []
    from_message: list[tuple[int, _Function]] = []
    for place, field in enumerate(fields):
        outer, _, last = field.path.rpartition(".")
        if field.name in special:
            from_message.append((place, special[field.name]))
        elif field.descriptor.has_presence and field.default is not _MISSING:
            holder = attrgetter(outer) if outer else _itself
            if_present.append((place, field.read, holder, last, field.default))
        elif field.read is not _itself:
            always.append((place, field.read))
    get = _values([field.path for field in fields])

    def read_fields(message: Any) -> R:
        values = [*get(message)]
        for place, read in always:
            values[place] = read(values[place])
        for place, read, holder, name, default in if_present:
            present = holder(message).HasField(name)
            values[place] = read(values[place]) if present else default
        for place, read in from_message:
            values[place] = read(message)
        try:
            return record(*values)
        except ValueError as error:
            raise Internal(f"the server sent {error}") from None

    return read_fields


def _itself(value: Any) -> Any:
    return value


def _values(paths: Collection[str]) -> Callable[[Any], tuple[Any, ...]]:
    """The attributes of something, in order."""
    get = attrgetter(*paths)
    return get if len(paths) > 1 else lambda owner: (get(owner),)
