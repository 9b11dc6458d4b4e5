"""Records, both ways. `translation` is told what the two sides do not share."""

from __future__ import annotations

import dataclasses
import functools
from typing import Final

from hashmatch.model.callers import Caller, CallerState, KnownCaller
from hashmatch.model.cases import Case
from hashmatch.model.imports import Import
from hashmatch.model.previews import Preview, PreviewTally
from hashmatch.model.records import (
    ALL_MISSED,
    NOT_KNOWN_MS,
    AuditRow,
    Bank,
    BankPolicy,
    BlocklistChange,
    Checkpoint,
    Coverage,
    Entry,
    Evidence,
    Provenance,
    Screening,
    Segment,
)
from hashmatch.model.verdicts import Activation
from hashmatch.model.views import part_of, turn_of
from hashmatch.v1 import access_service_pb2 as access_pb
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import common_pb2 as pb
from hashmatch.v1 import review_service_pb2 as review_pb
from hashmatch.wire.convert import timestamp, translation
from hashmatch.wire.enums import known, to_wire

__all__ = [
    "audit_row_from_wire",
    "audit_row_to_wire",
    "bank_from_wire",
    "bank_to_wire",
    "caller_from_wire",
    "case_from_wire",
    "case_to_wire",
    "coverage_from_wire",
    "coverage_to_wire",
    "entry_from_wire",
    "entry_to_wire",
    "import_from_wire",
    "import_to_wire",
    "known_caller_from_wire",
    "known_caller_to_wire",
    "policy_from_wire",
    "policy_to_wire",
    "preview_from_wire",
    "preview_to_wire",
    "provenance_from_wire",
    "provenance_to_wire",
    "screening_from_wire",
    "screening_to_wire",
    "self_to_wire",
    "timestamp",
    "view_to_wire",
    "watched_from_wire",
    "watched_to_wire",
]

# Screenings whose evidence is withheld take so many bytes, or a multiple.
_BLOCK_BYTES: Final = 512

# Screenings

translation(
    Segment,
    pb.Segment,
    names={
        f"{of}_{end}_ms": f"{of}.{end}_ms" for of in ("media", "entry") for end in ("start", "end")
    },
)
translation(Evidence, pb.Evidence, names={"part": "view.part", "turn": "view.turn"})


@functools.cache
def view_to_wire(view: int) -> pb.View:
    """The byte of a view as a message, which is not to be changed."""
    return pb.View(part=to_wire(part_of(view)), turn=to_wire(turn_of(view)))


def _if_known(value: int, unknown: int) -> int | None:
    return None if value == unknown else value


coverage_to_wire, coverage_from_wire = translation(
    Coverage,
    pb.Coverage,
    write={
        "longest_unseen_ms": lambda it: _if_known(it.longest_unseen_ms, NOT_KNOWN_MS),
        "miss_per_million": lambda it: _if_known(it.miss_per_million, ALL_MISSED),
    },
)
_screening_to_wire, screening_from_wire = translation(
    Screening, pb.Screening, names={"elapsed_ms": "elapsed"}, unread={"padding"}
)


def screening_to_wire(screening: Screening) -> pb.Screening:
    """A record as a message; of equal size, whatever the verdict, if its evidence is withheld."""
    message = _screening_to_wire(screening)
    if screening.evidence_withheld:
        message.ClearField("elapsed")
        # A field of bytes takes three more than they are: its number, and its length in two.
        missing = -(message.ByteSize() + 3) % _BLOCK_BYTES
        message.padding = bytes(missing + _BLOCK_BYTES * (missing < 128))
    return message


# The blocklist

policy_to_wire, policy_from_wire = translation(BankPolicy, blocklist_pb.BankPolicy)
bank_to_wire, bank_from_wire = translation(
    Bank,
    blocklist_pb.Bank,
    names={"thresholds": "kinds"},
    # No default: a bank of two persons is never shown as one of one person.
    read={"activation": lambda message: known(Activation, message.activation)},
)
provenance_to_wire, provenance_from_wire = translation(Provenance, blocklist_pb.Provenance)
entry_to_wire, entry_from_wire = translation(Entry, blocklist_pb.Entry)
import_to_wire, import_from_wire = translation(Import, blocklist_pb.Import)
translation(PreviewTally, blocklist_pb.PreviewTally, names={"missing": "gaps"})
preview_to_wire, preview_from_wire = translation(Preview, blocklist_pb.Preview)


def _within(part: str, record: type) -> dict[str, str]:
    """The paths of the fields of a change or a checkpoint: all but the token are inside."""
    names = {each.name for each in dataclasses.fields(record)} - {"resume_token"}
    return {name: f"{part}.{name}" for name in names}


_change_to_wire, _change_from_wire = translation(
    BlocklistChange,
    blocklist_pb.WatchChangesResponse,
    names=_within("change", BlocklistChange),
    unread={"checkpoint"},
)
_checkpoint_to_wire, _checkpoint_from_wire = translation(
    Checkpoint,
    blocklist_pb.WatchChangesResponse,
    names=_within("checkpoint", Checkpoint),
    unread={"change"},
)


def watched_to_wire(told: BlocklistChange | Checkpoint) -> blocklist_pb.WatchChangesResponse:
    """A record as a message."""
    return _checkpoint_to_wire(told) if isinstance(told, Checkpoint) else _change_to_wire(told)


def watched_from_wire(
    message: blocklist_pb.WatchChangesResponse,
) -> BlocklistChange | Checkpoint:
    """A message as a record. Raises `Internal` if it cannot be one."""
    return (_checkpoint_from_wire if message.HasField("checkpoint") else _change_from_wire)(message)


# Cases, callers, audit

case_to_wire, case_from_wire = translation(Case, review_pb.Case)
audit_row_to_wire, audit_row_from_wire = translation(AuditRow, access_pb.AuditRow)


def _all_banks(caller: Caller | KnownCaller) -> bool:
    return caller.banks is None


def _banks(message: access_pb.Caller) -> frozenset[str] | None:
    return None if message.all_banks else frozenset(message.banks)


# What a caller is told of itself: it is no other than active.
self_to_wire, caller_from_wire = translation(
    Caller,
    access_pb.Caller,
    write={"all_banks": _all_banks, "state": lambda _: CallerState.ACTIVE},
    read={"banks": _banks},
    unread={"credential", "certificate", "create_time", "expire_time", "revoke_time"},
)
known_caller_to_wire, known_caller_from_wire = translation(
    KnownCaller, access_pb.Caller, write={"all_banks": _all_banks}, read={"banks": _banks}
)
