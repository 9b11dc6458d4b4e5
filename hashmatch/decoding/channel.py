"""What a worker and its parent say to each other over one Unix socket.

A message is a JSON header and a payload, each with its length before it. To the worker:

* ``job`` (with two descriptors: the part of the spool in memory and the part on disk),
* ``size`` (answers ``wait``: so many bytes are there now, and whether that is all),
* ``cancel`` (stop; the rest is not wanted).

From the worker:

* ``ready`` (after start-up, with what it looks at media with, and after each job),
* ``wait`` (nothing to do until the media has grown beyond so many bytes),
* ``signals`` (new hashes, their columns in the payload, and the tally so far),
* ``done`` (the tally; no more comes).

A worker is not trusted: what it says is checked here before anything else sees it.
"""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from hashmatch.engine.sampling.frames import Density
from hashmatch.model.records import ALL_MISSED, Coverage, DecodeLimits, MediaInfo, Reason
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, VerdictReason

__all__ = [
    "PREFIX",
    "SEED_BITS",
    "BadMessage",
    "Done",
    "Job",
    "Message",
    "frame",
    "lengths",
    "new_seed",
    "pack_done",
    "pack_ready",
    "pack_signals",
    "parse_done",
    "parse_ready",
    "parse_signals",
    "unframe",
]

PREFIX: Final = struct.Struct(">II")  # Lengths of header and payload, in bytes.

_MAX_HEADER: Final = 64 * 1024
_MAX_PAYLOAD: Final = 64 * 1024 * 1024
_MAX_TEXT: Final = 200
_MAX_REASONS: Final = 16
_MAX_COUNT: Final = 2**62
_MAX_SMALL: Final = 2**31  # Of what callers are told in 32 bits.

# Fields that cannot be as large as others; each is less than its number.
_LESS_THAN: Final = {
    "width": _MAX_SMALL,
    "height": _MAX_SMALL,
    "streams": _MAX_SMALL,
    "seen_permille": 1000 + 1,
    "miss_per_million": ALL_MISSED + 1,
}

# Of a seed: nobody can try all of them, and two screenings never have the same.
SEED_BITS: Final = 128

Message = tuple[dict[str, Any], bytes]


class BadMessage(Exception):
    """A message that is not as this module says: the other side is broken. Never leaves floor 2."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is asked to do with one media.

    ``seed`` decides which frames are looked at where not all are, `SEED_BITS` bits. Whoever knows
    it could have a media pass whose other frames match: it is in no log, and not in this record's
    ``repr``.
    """

    kinds: tuple[Kind, ...]
    turns: bool
    density: Density
    limits: DecodeLimits
    seed: int = field(repr=False)

    def to_header(self) -> dict[str, Any]:
        """As the header of a ``job`` message."""
        return {
            "type": "job",
            **asdict(self),
            "kinds": [int(kind) for kind in self.kinds],
            # As text: not every reader of JSON keeps so large a number.
            "seed": f"{self.seed:0{SEED_BITS // 4}x}",
        }

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Job:
        """From `to_header`."""
        fields = {name: header[name] for name in cls.__slots__}
        fields["kinds"] = tuple(Kind(kind) for kind in header["kinds"])
        fields["density"] = Density(**header["density"])
        fields["limits"] = DecodeLimits(**header["limits"])
        fields["seed"] = int(header["seed"], 16)
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Done:
    """What a worker says when it has finished, or has looked at so far.

    ``look_version`` is what the worker said before its first media, and the parent's to add.
    """

    media: MediaInfo
    coverage: Coverage
    reasons: tuple[Reason, ...]
    look_version: str = ""


def new_seed() -> int:
    """A seed for one `Job`, from the system's source of secrets."""
    return secrets.randbits(SEED_BITS)


def frame(header: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """One message as bytes."""
    encoded = json.dumps(header).encode()
    return PREFIX.pack(len(encoded), len(payload)) + encoded + payload


def lengths(prefix: bytes) -> tuple[int, int]:
    """Lengths of header and payload. Raises `BadMessage` if one is beyond its limit."""
    header, payload = PREFIX.unpack(prefix)
    if header > _MAX_HEADER or payload > _MAX_PAYLOAD:
        raise BadMessage(f"a message of {header} and {payload} bytes")
    return header, payload


def unframe(encoded: bytes) -> dict[str, Any]:
    """The header. Raises `BadMessage` if it is none."""
    try:
        header = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise BadMessage("a header that is not JSON") from error
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise BadMessage("a header without a type")
    return header


def pack_ready(look_version: str = "") -> bytes:
    """A ``ready`` message; the first one says what looks at media."""
    return frame({"type": "ready", "look_version": look_version})


def parse_ready(header: Mapping[str, Any]) -> str:
    """The version of what looks, empty if it is not said. Raises `BadMessage`."""
    try:
        return _text(header.get("look_version", ""))
    except ValueError as error:
        raise BadMessage("a version that is not a short text") from error


def pack_signals(signals: Iterable[Signals], so_far: Done) -> bytes:
    """A ``signals`` message."""
    parts, payload = [], b""
    for each in signals:
        columns = each.columns()
        parts.append([int(each.kind), *(len(column) for column in columns)])
        payload += b"".join(columns)
    return frame({"type": "signals", "parts": parts, **_tally(so_far)}, payload)


def parse_signals(header: Mapping[str, Any], payload: bytes) -> list[Signals]:
    """The signals of a ``signals`` message. Raises `BadMessage` if they are not sound."""
    parsed, offset = [], 0
    try:
        for kind, *sizes in header["parts"]:
            if len(sizes) != 4 or any(not _is_size(size, payload) for size in sizes):
                raise BadMessage("signals without four columns")
            columns = []
            for size in sizes:
                columns.append(payload[offset : offset + size])
                offset += size
            parsed.append(Signals.from_columns(Kind(kind), *columns))
    except (KeyError, TypeError, ValueError) as error:
        raise BadMessage("signals that are not sound") from error
    if offset != len(payload):
        raise BadMessage("signals and payload differ in length")
    return parsed


def _is_size(value: object, payload: bytes) -> bool:
    return type(value) is int and 0 <= value <= len(payload)


def pack_done(done: Done) -> bytes:
    """A ``done`` message."""
    return frame({"type": "done", **_tally(done)})


def _tally(done: Done) -> dict[str, Any]:
    media = asdict(done.media)
    del media["sha256"], media["size_bytes"]  # Not the worker's to say.
    return {
        "media": media,
        "coverage": asdict(done.coverage),
        "reasons": [[int(reason.code), reason.detail] for reason in done.reasons],
    }


def parse_done(header: Mapping[str, Any]) -> Done:
    """The tally of a ``done`` or ``signals`` message. Raises `BadMessage` if it is not sound."""
    try:
        reasons = tuple(
            Reason(VerdictReason(code), _text(detail)) for code, detail in header["reasons"]
        )
        counts: dict[str, Any] = {
            name: _count(name, header["media"][name])
            for name in ("width", "height", "duration_header_ms")
        }
        media = MediaInfo(format=_text(header["media"]["format"]), **counts)
        stated = header["coverage"]
        counts = {
            name: _count(name, stated[name])
            for name in Coverage.__slots__
            if name not in ("complete", "by_caller")
        }
        coverage = Coverage(complete=stated["complete"] is True and not reasons, **counts)
    except (KeyError, TypeError, ValueError) as error:
        raise BadMessage("a tally that is not sound") from error
    if len(reasons) > _MAX_REASONS or coverage.complete == bool(reasons):
        raise BadMessage("coverage and reasons disagree")
    return Done(media, coverage, reasons)


def _count(name: str, value: object) -> int:
    limit = _LESS_THAN.get(name, _MAX_COUNT)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
        raise ValueError("not a count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise ValueError("not a short text")
    return value
