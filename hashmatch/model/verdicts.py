"""Enumerations. Their names and numbers are those of common.proto (a test compares them)."""

from __future__ import annotations

import enum

__all__ = [
    "Action",
    "Activation",
    "BankMode",
    "BankState",
    "Category",
    "ChangeType",
    "Effect",
    "EntryState",
    "Kind",
    "Part",
    "Turn",
    "Verdict",
    "VerdictReason",
]


class Kind(enum.IntEnum):
    """A way to hash media."""

    PDQ = 1
    PHASH = 2
    SHA256 = 3
    SHA1 = 4
    MD5 = 5
    PDQ_PATCH = 6

    @property
    def width(self) -> int:
        """Bytes of a digest."""
        return _WIDTHS[self]

    @property
    def hash_width(self) -> int:
        """Bytes of a digest that are compared; what follows says where it was taken."""
        return min(self.width, _MOST_COMPARED)

    @property
    def exact(self) -> bool:
        """True if it hashes the file, false if it hashes a frame."""
        return self in (Kind.SHA256, Kind.SHA1, Kind.MD5)

    @property
    def largest_threshold(self) -> int:
        """Most bits by which a bank may let hashes of this kind differ.

        A quarter of the bits: unrelated PDQ hashes were measured 78 of 256 bits apart and more,
        so a threshold beyond 63 would accuse at random.
        """
        return 0 if self.exact else self.hash_width * 2 - 1


_WIDTHS = {
    Kind.PDQ: 32,
    Kind.PHASH: 8,
    Kind.SHA256: 32,
    Kind.SHA1: 20,
    Kind.MD5: 16,
    Kind.PDQ_PATCH: 36,  # A PDQ, and the place of its square: see `engine.hashing.patches`.
}

_MOST_COMPARED = 32


class Part(enum.IntEnum):
    """Which part of a frame a hash was taken from. At most 31, see `model.signals`."""

    FULL = 1
    FULL_ON_WHITE = 2
    CONTENT = 3
    INSET = 4


class Turn(enum.IntEnum):
    """How the frame was turned or mirrored before it was hashed. Rotations counter-clockwise."""

    NONE = 1
    ROTATE_90 = 2
    ROTATE_180 = 3
    ROTATE_270 = 4
    FLIP_VERTICAL = 5
    FLIP_HORIZONTAL = 6
    TRANSPOSE = 7
    ANTI_TRANSPOSE = 8


class Verdict(enum.IntEnum):
    """What became of a screening."""

    NO_MATCH = 1
    REVIEW = 2
    BLOCK = 3
    INCONCLUSIVE = 4


class VerdictReason(enum.IntEnum):
    """Why a verdict is what it is; see common.proto for the meaning of each."""

    EXACT_MATCH = 1
    PERCEPTUAL_MATCH = 2
    NOTHING_FOUND = 3
    MATCH = 4
    EMPTY = 10
    UNSUPPORTED = 11
    TRUNCATED = 12
    CORRUPT = 13
    SIZE_LIMIT = 14
    DURATION_LIMIT = 15
    FRAME_SIZE_LIMIT = 16
    NO_FRAMES = 17
    ALL_FRAMES_FLAT = 18
    DECODE_TIMEOUT = 19
    WORKER_DIED = 20
    BLOCKLIST_EMPTY = 21
    BLOCKLIST_STALE = 22
    KIND_MISSING = 23
    HASH_VERSION_CHANGED = 24
    DECIDED_EARLY = 25
    COVERAGE_GAP = 26
    UNSEEN_MEDIA = 27
    SIGNALS_LIMIT = 28
    FRAMES_LIMIT = 29
    STREAMS_LIMIT = 30
    CPU_LIMIT = 31
    MEMORY_LIMIT = 32
    SANDBOX_VIOLATION = 33
    LOOK_VERSION_CHANGED = 34
    WORKER_FAULT = 35
    NO_PICTURE = 36


class Action(enum.IntEnum):
    """What a bank does to an upload that matches it."""

    REVIEW = 1
    BLOCK = 2
    OVERRULE = 3  # A negative bank: what it holds is no evidence for any other.


class BankMode(enum.IntEnum):
    """Whether what a bank finds has consequences."""

    LIVE = 1
    SHADOW = 2


class Effect(enum.IntEnum):
    """What becomes of evidence; see common.proto for the meaning of each."""

    ACTS = 1
    SHADOW = 2
    OVERRULED = 3
    WEAK = 4


class BankState(enum.IntEnum):
    """Whether a bank is in use."""

    ACTIVE = 1
    ARCHIVED = 2


class EntryState(enum.IntEnum):
    """Where an entry stands."""

    PENDING = 1
    ACTIVE = 2
    WITHDRAWN = 3
    EXPIRED = 4


class ChangeType(enum.IntEnum):
    """What a change of the blocklist did."""

    BANK_CREATED = 1
    BANK_UPDATED = 2
    BANK_ARCHIVED = 3
    ENTRY_CREATED = 4
    ENTRY_WITHDRAWN = 5
    ENTRY_PROPOSED = 6
    ENTRY_APPROVED = 7
    ENTRY_DECLINED = 8
    ENTRY_EXPIRED = 9
    ENTRY_QUARANTINED = 10
    ENTRY_RELEASED = 11


class Activation(enum.IntEnum):
    """How many persons it takes for an entry to come into use."""

    ONE_PERSON = 1
    TWO_PERSON = 2


class Category(enum.IntEnum):
    """What an entry shows; see blocklist_service.proto for the codes of others."""

    CSAM_A1 = 1
    CSAM_A2 = 2
    CSAM_B1 = 3
    CSAM_B2 = 4
    CSAM = 5
    INTIMATE_IMAGE = 6
    TERRORIST_CONTENT = 7
    TERRORIST_CREDIBLE_THREAT = 8
    TERRORIST_VIOLENCE = 9
    TERRORIST_GLORIFICATION = 10
    TERRORIST_RECRUITMENT = 11
    PERPETRATOR_CONTENT = 12
    OTHER = 13
