"""Exported entries. Hashes go out as columns and come in one by one, so this is written by hand.

The client imports this module and has no numpy: arrays are not named here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hashmatch.errors import Internal
from hashmatch.model.exports import BEST_QUALITY, ExportedEntry, Hash
from hashmatch.model.verdicts import Kind, Part, Turn
from hashmatch.model.views import FULL, view_code
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.v1 import common_pb2
from hashmatch.wire.enums import known, to_wire
from hashmatch.wire.records import entry_from_wire, entry_to_wire, view_to_wire

__all__ = ["exported_from_wire", "exported_to_wire"]


def exported_to_wire(parts: Iterable[Any]) -> pb.ExportEntriesResponse:
    """Parts of entries (`usecases.exports.EntryPart`) as one message. A column of hashes is left
    out where its absence means the same: best quality, 0 ms, the whole frame.
    """
    response = pb.ExportEntriesResponse()
    for part in parts:
        message = response.entries.add(
            entry=entry_to_wire(part.entry),
            continues=part.continues,
            resume_token=part.resume_token,
        )
        for each in part.signals:
            columns = message.signals.add(kind=to_wire(each.kind), digests=each.digests.tobytes())
            if (each.quality != BEST_QUALITY).any():
                columns.quality = each.quality.tobytes()
            if each.pts_ms.any():
                columns.pts_ms.extend(each.pts_ms.tolist())
            if (each.view != FULL).any():
                columns.views.extend(map(view_to_wire, each.view.tolist()))
    return response


def exported_from_wire(message: pb.ExportedEntry) -> ExportedEntry:
    """A message as a record. Raises `Internal` if it cannot be one."""
    return ExportedEntry(
        entry_from_wire(message.entry),
        tuple(each for signals in message.signals for each in _hashes(signals)),
        message.continues,
        message.resume_token,
    )


def _hashes(signals: common_pb2.Signals) -> Iterator[Hash]:
    kind = known(Kind, signals.kind)
    count, rest = divmod(len(signals.digests), kind.width)
    columns = (signals.quality, signals.pts_ms, signals.views)
    if rest or any(len(column) not in (0, count) for column in columns):
        raise Internal("the server sent hashes whose columns do not fit together")
    digests, width = signals.digests, kind.width
    return map(
        Hash,
        [kind] * count,
        [digests[at : at + width] for at in range(0, count * width, width)],
        signals.quality or [BEST_QUALITY] * count,
        signals.pts_ms or [0] * count,
        [view_code(known(Part, each.part), known(Turn, each.turn)) for each in signals.views]
        or [FULL] * count,
    )
