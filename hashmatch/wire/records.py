"""Records, both ways."""

from __future__ import annotations

import datetime
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from hashmatch.errors import Internal
from hashmatch.model.cases import CaseDecision
from hashmatch.model.records import (
    ALL_MISSED,
    NOT_KNOWN_MS,
    Bank,
    BankPolicy,
    BlocklistChange,
    Checkpoint,
    Coverage,
    Entry,
    EntryRef,
    Evidence,
    KindCount,
    MediaInfo,
    Provenance,
    Reason,
    Screening,
    Segment,
)
from hashmatch.model.verdicts import (
    Action,
    Activation,
    BankMode,
    BankState,
    Category,
    ChangeType,
    Effect,
    EntryState,
    Kind,
    Part,
    Turn,
    Verdict,
    VerdictReason,
)
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import common_pb2 as pb
from hashmatch.wire.enums import known, to_wire

__all__ = [
    "bank_from_wire",
    "bank_to_wire",
    "coverage_from_wire",
    "coverage_to_wire",
    "entry_from_wire",
    "entry_to_wire",
    "evidence_from_wire",
    "evidence_to_wire",
    "instant",
    "policy_from_wire",
    "policy_to_wire",
    "provenance_from_wire",
    "provenance_to_wire",
    "reason_from_wire",
    "reason_to_wire",
    "ref_from_wire",
    "ref_to_wire",
    "screening_from_wire",
    "screening_to_wire",
    "timestamp",
    "watched_from_wire",
    "watched_to_wire",
]


# Screenings whose evidence is withheld take so many bytes, or a multiple.
_BLOCK_BYTES: Final = 512


def timestamp(instant: datetime.datetime) -> Timestamp:
    """An instant as a message."""
    message = Timestamp()
    message.FromDatetime(instant)
    return message


def instant(message: Timestamp) -> datetime.datetime:
    """A message as an instant. Raises `Internal`."""
    try:
        return message.ToDatetime(tzinfo=datetime.UTC)
    except ValueError:
        raise Internal("the server sent an instant that is none") from None


def ref_to_wire(ref: EntryRef) -> pb.EntryRef:
    """A record as a message."""
    return pb.EntryRef(
        entry_id=ref.entry_id,
        reference=ref.reference,
        label=ref.label,
        bank_id=ref.bank_id,
        bank_name=ref.bank_name,
    )


def ref_from_wire(message: pb.EntryRef) -> EntryRef:
    """A message as a record."""
    return EntryRef(
        message.entry_id, message.reference, message.label, message.bank_id, message.bank_name
    )


def reason_to_wire(reason: Reason) -> pb.Reason:
    """A record as a message."""
    return pb.Reason(code=to_wire(reason.code), detail=reason.detail)


def reason_from_wire(message: pb.Reason) -> Reason:
    """A message as a record."""
    return Reason(known(VerdictReason, message.code), message.detail)


def evidence_to_wire(evidence: Evidence) -> pb.Evidence:
    """A record as a message."""
    return pb.Evidence(
        entry=ref_to_wire(evidence.entry),
        action=to_wire(evidence.action),
        kind=to_wire(evidence.kind),
        view=pb.View(part=to_wire(evidence.part), turn=to_wire(evidence.turn)),
        distance=evidence.distance,
        threshold=evidence.threshold,
        frames=evidence.frames,
        segments=[
            pb.Segment(
                media=pb.TimeRange(start_ms=each.media_start_ms, end_ms=each.media_end_ms),
                entry=pb.TimeRange(start_ms=each.entry_start_ms, end_ms=each.entry_end_ms),
                frames=each.frames,
            )
            for each in evidence.segments
        ],
        score=evidence.score,
        effect=to_wire(evidence.effect),
        quarantined=evidence.quarantined,
    )


def evidence_from_wire(message: pb.Evidence) -> Evidence:
    """A message as a record."""
    return Evidence(
        entry=ref_from_wire(message.entry),
        action=known(Action, message.action),
        kind=known(Kind, message.kind),
        part=known(Part, message.view.part),
        turn=known(Turn, message.view.turn),
        distance=message.distance,
        threshold=message.threshold,
        frames=message.frames,
        segments=tuple(
            Segment(
                each.media.start_ms,
                each.media.end_ms,
                each.entry.start_ms,
                each.entry.end_ms,
                each.frames,
            )
            for each in message.segments
        ),
        score=message.score if message.HasField("score") else None,
        effect=known(Effect, message.effect or Effect.ACTS),
        quarantined=message.quarantined,
    )


def media_to_wire(media: MediaInfo) -> pb.MediaInfo:
    """A record as a message."""
    return pb.MediaInfo(
        size_bytes=media.size_bytes,
        sha256=media.sha256,
        format=media.format,
        width=media.width,
        height=media.height,
        duration_header_ms=media.duration_header_ms,
    )


def media_from_wire(message: pb.MediaInfo) -> MediaInfo:
    """A message as a record."""
    return MediaInfo(
        message.size_bytes,
        message.sha256,
        message.format,
        message.width,
        message.height,
        message.duration_header_ms,
    )


def coverage_to_wire(coverage: Coverage) -> pb.Coverage:
    """A record as a message; what is not known is absent."""
    unseen_ms, miss = coverage.longest_unseen_ms, coverage.miss_per_million
    return pb.Coverage(
        complete=coverage.complete,
        duration_content_ms=coverage.duration_content_ms,
        frames_decoded=coverage.frames_decoded,
        frames_hashed=coverage.frames_hashed,
        frames_flat=coverage.frames_flat,
        frames_failed=coverage.frames_failed,
        largest_gap_ms=coverage.largest_gap_ms,
        streams=coverage.streams,
        by_caller=coverage.by_caller,
        longest_unseen_ms=None if unseen_ms == NOT_KNOWN_MS else unseen_ms,
        seen_permille=coverage.seen_permille,
        miss_per_million=None if miss == ALL_MISSED else miss,
    )


def coverage_from_wire(message: pb.Coverage) -> Coverage:
    """A message as a record; an older server promises nothing."""
    promised = {
        name: getattr(message, name)
        for name in ("longest_unseen_ms", "miss_per_million")
        if message.HasField(name)
    }
    return Coverage(
        message.complete,
        message.duration_content_ms,
        message.frames_decoded,
        message.frames_hashed,
        message.frames_flat,
        message.frames_failed,
        message.largest_gap_ms,
        message.streams,
        message.by_caller,
        seen_permille=message.seen_permille,
        **promised,
    )


def screening_to_wire(screening: Screening) -> pb.Screening:
    """A record as a message; of equal size, whatever the verdict, if its evidence is withheld."""
    message = _screening_to_wire(screening)
    if screening.evidence_withheld:
        # A field of bytes takes three more than they are: its number, and its length in two.
        missing = -(message.ByteSize() + 3) % _BLOCK_BYTES
        message.padding = bytes(missing + _BLOCK_BYTES * (missing < 128))
    return message


def _screening_to_wire(screening: Screening) -> pb.Screening:
    elapsed = Duration()
    elapsed.FromMicroseconds(round(screening.elapsed_ms * 1000))
    return pb.Screening(
        screening_id=screening.screening_id,
        verdict=to_wire(screening.verdict),
        reasons=[reason_to_wire(each) for each in screening.reasons],
        evidence=[evidence_to_wire(each) for each in screening.evidence],
        media=media_to_wire(screening.media),
        coverage=coverage_to_wire(screening.coverage),
        blocklist_revision=screening.blocklist_revision,
        hash_versions=[
            pb.HashVersion(kind=to_wire(kind), version=version)
            for kind, version in sorted(screening.hash_versions.items())
        ],
        create_time=timestamp(screening.create_time),
        judge_time=timestamp(screening.judge_time),
        judgement=screening.judgement,
        elapsed=None if screening.evidence_withheld else elapsed,
        evidence_withheld=screening.evidence_withheld,
        unacted=[evidence_to_wire(each) for each in screening.unacted],
        case_id=screening.case_id,
        decision=pb.CASE_DECISION_UNSPECIFIED
        if screening.decision is None
        else to_wire(screening.decision),
        look_version=screening.look_version,
    )


def screening_from_wire(message: pb.Screening) -> Screening:
    """A message as a record. Raises `Internal`, as all of these do, if it cannot be one."""
    try:
        return _screening(message)
    except ValueError as error:
        raise Internal(f"the server sent {error}") from None


def _screening(message: pb.Screening) -> Screening:
    return Screening(
        screening_id=message.screening_id,
        verdict=known(Verdict, message.verdict),
        reasons=tuple(reason_from_wire(each) for each in message.reasons),
        evidence=tuple(evidence_from_wire(each) for each in message.evidence),
        media=media_from_wire(message.media),
        coverage=coverage_from_wire(message.coverage),
        blocklist_revision=message.blocklist_revision,
        hash_versions={known(Kind, each.kind): each.version for each in message.hash_versions},
        create_time=instant(message.create_time),
        judge_time=instant(message.judge_time),
        judgement=message.judgement,
        elapsed_ms=message.elapsed.ToMicroseconds() / 1000,
        evidence_withheld=message.evidence_withheld,
        unacted=tuple(evidence_from_wire(each) for each in message.unacted),
        case_id=message.case_id,
        decision=known(CaseDecision, message.decision) if message.decision else None,
        look_version=message.look_version,
    )


def bank_to_wire(bank: Bank) -> blocklist_pb.Bank:
    """A record as a message."""
    return blocklist_pb.Bank(
        bank_id=bank.bank_id,
        name=bank.name,
        label=bank.label,
        action=to_wire(bank.action),
        kinds=[
            blocklist_pb.KindThreshold(kind=to_wire(kind), max_distance=most)
            for kind, most in sorted(bank.thresholds.items())
        ],
        state=to_wire(bank.state),
        active_entries=bank.active_entries,
        etag=bank.etag,
        revision=bank.revision,
        create_time=timestamp(bank.create_time),
        update_time=timestamp(bank.update_time),
        activation=to_wire(bank.activation),
        policy=policy_to_wire(bank.policy),
    )


def bank_from_wire(message: blocklist_pb.Bank) -> Bank:
    """A message as a record."""
    return Bank(
        bank_id=message.bank_id,
        name=message.name,
        label=message.label,
        action=known(Action, message.action),
        thresholds={known(Kind, each.kind): each.max_distance for each in message.kinds},
        state=known(BankState, message.state),
        revision=message.revision,
        create_time=instant(message.create_time),
        update_time=instant(message.update_time),
        active_entries=message.active_entries,
        activation=known(Activation, message.activation),
        policy=policy_from_wire(message.policy),
    )


def policy_to_wire(policy: BankPolicy) -> blocklist_pb.BankPolicy:
    """A record as a message."""
    return blocklist_pb.BankPolicy(
        mode=to_wire(policy.mode),
        traffic_percent=policy.traffic_percent,
        block_score=policy.block_score,
        review_score=policy.review_score,
        flood_limit=policy.flood_limit,
    )


def policy_from_wire(message: blocklist_pb.BankPolicy) -> BankPolicy:
    """A message as a record; what is absent is as the record has it."""
    default = BankPolicy()
    given = {
        name: getattr(message, name) if message.HasField(name) else getattr(default, name)
        for name in ("traffic_percent", "block_score", "review_score", "flood_limit")
    }
    return BankPolicy(mode=known(BankMode, message.mode or default.mode), **given)


def entry_to_wire(entry: Entry) -> blocklist_pb.Entry:
    """A record as a message."""
    return blocklist_pb.Entry(
        ref=ref_to_wire(entry.ref),
        state=to_wire(entry.state),
        kinds=[
            blocklist_pb.KindCount(kind=to_wire(each.kind), count=each.count, usable=each.usable)
            for each in entry.kinds
        ],
        duration_ms=entry.duration_ms,
        revision=entry.revision,
        create_time=timestamp(entry.create_time),
        update_time=timestamp(entry.update_time),
        coverage=None if entry.coverage is None else coverage_to_wire(entry.coverage),
        reasons=[reason_to_wire(each) for each in entry.reasons],
        provenance=provenance_to_wire(entry.provenance),
        proposed_by=entry.proposed_by,
        approved_by=entry.approved_by,
        expire_time=None if entry.expire_time is None else timestamp(entry.expire_time),
        quarantine_time=(
            None if entry.quarantine_time is None else timestamp(entry.quarantine_time)
        ),
    )


def provenance_to_wire(provenance: Provenance) -> blocklist_pb.Provenance:
    """A record as a message."""
    category = provenance.category
    return blocklist_pb.Provenance(
        source=provenance.source,
        legal_basis=provenance.legal_basis,
        category=to_wire(category) if category else blocklist_pb.CATEGORY_UNSPECIFIED,
        severity=provenance.severity,
        note=provenance.note,
        language=provenance.language,
    )


def provenance_from_wire(message: blocklist_pb.Provenance) -> Provenance:
    """A message as a record."""
    return Provenance(
        source=message.source,
        legal_basis=message.legal_basis,
        category=known(Category, message.category) if message.category else None,
        severity=message.severity,
        note=message.note,
        language=message.language,
    )


def entry_from_wire(message: blocklist_pb.Entry) -> Entry:
    """A message as a record."""
    return Entry(
        ref=ref_from_wire(message.ref),
        state=known(EntryState, message.state),
        kinds=tuple(
            KindCount(known(Kind, each.kind), each.count, each.usable) for each in message.kinds
        ),
        duration_ms=message.duration_ms,
        revision=message.revision,
        create_time=instant(message.create_time),
        update_time=instant(message.update_time),
        coverage=coverage_from_wire(message.coverage) if message.HasField("coverage") else None,
        reasons=tuple(reason_from_wire(each) for each in message.reasons),
        provenance=provenance_from_wire(message.provenance),
        proposed_by=message.proposed_by,
        approved_by=message.approved_by,
        expire_time=instant(message.expire_time) if message.HasField("expire_time") else None,
        quarantine_time=(
            instant(message.quarantine_time) if message.HasField("quarantine_time") else None
        ),
    )


def watched_to_wire(told: BlocklistChange | Checkpoint) -> blocklist_pb.WatchChangesResponse:
    """A record as a message."""
    if isinstance(told, Checkpoint):
        return blocklist_pb.WatchChangesResponse(
            checkpoint=blocklist_pb.Checkpoint(revision=told.revision, time=timestamp(told.time)),
            resume_token=told.resume_token,
        )
    return blocklist_pb.WatchChangesResponse(
        change=blocklist_pb.BlocklistChange(
            revision=told.revision,
            type=to_wire(told.type),
            time=timestamp(told.time),
            bank=None if told.bank is None else bank_to_wire(told.bank),
            entry=None if told.entry is None else entry_to_wire(told.entry),
        ),
        resume_token=told.resume_token,
    )


def watched_from_wire(
    message: blocklist_pb.WatchChangesResponse,
) -> BlocklistChange | Checkpoint:
    """A message as a record."""
    if message.HasField("checkpoint"):
        checkpoint = message.checkpoint
        return Checkpoint(checkpoint.revision, instant(checkpoint.time), message.resume_token)
    change = message.change
    return BlocklistChange(
        revision=change.revision,
        type=known(ChangeType, change.type),
        time=instant(change.time),
        bank=bank_from_wire(change.bank) if change.HasField("bank") else None,
        entry=entry_from_wire(change.entry) if change.HasField("entry") else None,
        resume_token=message.resume_token,
    )
