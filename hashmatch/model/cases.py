"""Cases: what a person has to look at, and what it decided."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass

__all__ = ["Case", "CaseDecision", "CaseState", "CaseType"]


class CaseType(enum.IntEnum):
    """Why there is a case; see review_service.proto for the meaning of each."""

    REVIEW = 1
    REOPENED = 2
    FLOOD = 3


class CaseState(enum.IntEnum):
    """Where a case stands."""

    OPEN = 1
    DECIDED = 2


class CaseDecision(enum.IntEnum):
    """What a person decided; see common.proto for the meaning of each."""

    UPHELD = 1
    OVERTURNED = 2


@dataclass(frozen=True, slots=True)
class Case:
    """A unit of review work: of a screening, or of an entry (``FLOOD``); the other id is empty.

    ``decision`` and ``decide_time`` are None, ``decided_by`` (a caller's id) and ``why`` empty as
    long as it is open. ``open_time`` is when it was opened last.
    """

    case_id: str
    type: CaseType
    state: CaseState
    screening_id: str
    entry_id: str
    create_time: datetime.datetime
    open_time: datetime.datetime
    decision: CaseDecision | None = None
    decided_by: str = ""
    decide_time: datetime.datetime | None = None
    why: str = ""

    @property
    def etag(self) -> str:
        """Changes whenever it is opened or decided, and when there is new evidence."""
        return f"{round(self.open_time.timestamp() * 1000)}.{int(self.state)}"
