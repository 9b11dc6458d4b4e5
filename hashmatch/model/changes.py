"""Changes of the blocklist: their kinds, and how far a reader of their log has come."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final, Self

from hashmatch.model.verdicts import ChangeType

__all__ = ["ChangeKind", "Position"]

_TOKEN: Final = re.compile(r"([0-9a-f]{32})\.([0-9]{1,18})\.([0-9]{1,18})")


class ChangeKind(enum.StrEnum):
    """What one revision did, by the names that the log of changes and the audit trail store.

    ``ENTRY_...`` changed one entry, ``ENTRIES_...`` those of one list together.
    """

    BANK_CREATED = "bank_created"
    BANK_UPDATED = "bank_updated"
    BANK_ARCHIVED = "bank_archived"
    ENTRY_CREATED = "entry_created"
    ENTRY_PROPOSED = "entry_proposed"
    ENTRY_APPROVED = "entry_approved"
    ENTRY_WITHDRAWN = "entry_withdrawn"
    ENTRY_DECLINED = "entry_declined"
    ENTRY_EXPIRED = "entry_expired"
    ENTRY_QUARANTINED = "entry_quarantined"
    ENTRY_RELEASED = "entry_released"
    ENTRY_UNCHANGED = "entry_unchanged"
    ENTRIES_CREATED = "entries_created"
    ENTRIES_PROPOSED = "entries_proposed"
    ENTRIES_APPROVED = "entries_approved"
    ENTRIES_WITHDRAWN = "entries_withdrawn"
    ENTRIES_DECLINED = "entries_declined"

    @property
    def is_of_many(self) -> bool:
        """True if one revision stands for any number of entries."""
        return self.value.startswith("entries_")

    @property
    def brings(self) -> bool:
        """True if entries come into use by it."""
        return self._of_one in (ChangeKind.ENTRY_CREATED, ChangeKind.ENTRY_APPROVED)

    @property
    def takes(self) -> bool:
        """True if entries that were in use go out of use by it."""
        return self._of_one in (ChangeKind.ENTRY_WITHDRAWN, ChangeKind.ENTRY_EXPIRED)

    @property
    def affects_quarantine(self) -> bool:
        """True if other entries than before may be quarantined after it."""
        return self.takes or self in (
            ChangeKind.ENTRY_QUARANTINED,
            ChangeKind.ENTRY_RELEASED,
            ChangeKind.BANK_ARCHIVED,
        )

    @property
    def public_type(self) -> ChangeType | None:
        """What outside readers are told of each bank or entry; None: nothing."""
        return ChangeType.__members__.get(self._of_one.name)

    @property
    def _of_one(self) -> ChangeKind:
        return ChangeKind(self.value.replace("entries_", "entry_"))


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader has come: all of ``revision`` was read; or, of the entries that were created
    by it, those up to number ``entry``. ``store_id`` is empty where the reader did not say.
    """

    revision: int = 0
    entry: int = 0
    store_id: str = ""

    @classmethod
    def from_token(cls, token: str) -> Self:
        """From `token`. Raises ``ValueError``."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise ValueError("is not one that this server gave")
        return cls(int(found[2]), int(found[3]), found[1])

    @property
    def token(self) -> str:
        """As readers keep it."""
        return f"{self.store_id}.{self.revision}.{self.entry}"
