"""Cases, both ways."""

from __future__ import annotations

from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.v1 import review_service_pb2 as pb
from hashmatch.v1.common_pb2 import CASE_DECISION_UNSPECIFIED
from hashmatch.wire.enums import known, to_wire
from hashmatch.wire.records import instant, timestamp

__all__ = ["case_from_wire", "case_to_wire"]


def case_to_wire(case: Case) -> pb.Case:
    """A record as a message."""
    return pb.Case(
        case_id=case.case_id,
        type=to_wire(case.type),
        state=to_wire(case.state),
        screening_id=case.screening_id,
        entry_id=case.entry_id,
        create_time=timestamp(case.create_time),
        open_time=timestamp(case.open_time),
        decision=to_wire(case.decision) if case.decision else CASE_DECISION_UNSPECIFIED,
        decided_by=case.decided_by,
        decide_time=None if case.decide_time is None else timestamp(case.decide_time),
        why=case.why,
        etag=case.etag,
    )


def case_from_wire(message: pb.Case) -> Case:
    """A message as a record. Raises `Internal` if it cannot be one."""
    return Case(
        case_id=message.case_id,
        type=known(CaseType, message.type),
        state=known(CaseState, message.state),
        screening_id=message.screening_id,
        entry_id=message.entry_id,
        create_time=instant(message.create_time),
        open_time=instant(message.open_time),
        decision=known(CaseDecision, message.decision) if message.decision else None,
        decided_by=message.decided_by,
        decide_time=instant(message.decide_time) if message.HasField("decide_time") else None,
        why=message.why,
    )
