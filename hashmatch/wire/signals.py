"""Hashes, both ways."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hashmatch.errors import InvalidField
from hashmatch.model.signals import MAX_SIGNALS, Signals, view_code
from hashmatch.model.verdicts import Kind, Part, Turn
from hashmatch.v1 import common_pb2 as pb
from hashmatch.wire.enums import from_wire, to_wire
from hashmatch.wire.records import view_to_wire

__all__ = ["signals_from_wire", "signals_to_wire"]


def signals_to_wire(signals: Signals) -> pb.Signals:
    """A record as a message."""
    return pb.Signals(
        kind=to_wire(signals.kind),
        digests=signals.digests.tobytes(),
        quality=signals.quality.tobytes(),
        pts_ms=signals.pts_ms.tolist(),
        views=map(view_to_wire, signals.view.tolist()),
    )


def signals_from_wire(messages: Iterable[pb.Signals]) -> list[Signals]:
    """Messages as records. Raises `InvalidField` if one is not sound, or a kind comes twice."""
    records: list[Signals] = []
    for place, message in enumerate(messages):
        field = f"signals[{place}]"
        kind = from_wire(Kind, message.kind, f"{field}.kind")
        if any(each.kind is kind for each in records):
            raise InvalidField(f"{field}.kind", f"{kind.name} comes twice")
        count, rest = divmod(len(message.digests), kind.width)
        if rest or not count:
            raise InvalidField(
                f"{field}.digests",
                f"{len(message.digests)} bytes; a multiple of {kind.width} is needed",
            )
        if kind.exact and count > 1:
            raise InvalidField(f"{field}.digests", f"{count} {kind.name}; a file has one")
        if len(message.views) not in (0, count):  # Before each is looked at, which takes a while.
            raise InvalidField(field, f"{len(message.views)} views of {count} {kind.name}")
        if count > MAX_SIGNALS:
            raise InvalidField(
                f"{field}.digests", f"{count} {kind.name}; at most {MAX_SIGNALS} are allowed"
            )
        views = [
            view_code(
                from_wire(Part, view.part, f"{field}.views.part"),
                from_wire(Turn, view.turn, f"{field}.views.turn"),
            )
            for view in message.views
        ]
        try:
            records.append(
                Signals(
                    kind,
                    np.frombuffer(message.digests, np.uint8).reshape(count, kind.width),
                    np.frombuffer(message.quality or b"\x64" * count, np.uint8),
                    np.array(message.pts_ms or [0] * count, np.int64),
                    np.array(views or [view_code(Part.FULL)] * count, np.uint8),
                )
            )
        except ValueError as error:
            raise InvalidField(field, str(error)) from None
    return records
