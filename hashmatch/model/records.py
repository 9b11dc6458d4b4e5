"""The records that travel between the floors: banks, entries, screenings."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

from hashmatch.model.cases import CaseDecision
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

__all__ = [
    "ALL_MISSED",
    "DEFAULT_THRESHOLDS",
    "NOT_KNOWN_MS",
    "AuditFinding",
    "AuditReport",
    "AuditRow",
    "Bank",
    "BankPolicy",
    "BlocklistChange",
    "Checkpoint",
    "Coverage",
    "DecodeLimits",
    "Entry",
    "EntryRef",
    "Evidence",
    "KindCount",
    "MediaInfo",
    "Page",
    "Provenance",
    "Reason",
    "Screening",
    "Segment",
]

# What a bank matches by unless told otherwise. PDQ: 31 of 256 bits, the reference
# implementation's recommendation (ThreatExchange, pdq/README.md). PDQ_PATCH: with squares so near
# an entry is worth a closer look, see `engine.policy.squares`.
DEFAULT_THRESHOLDS: Mapping[Kind, int] = {Kind.SHA256: 0, Kind.PDQ: 31, Kind.PDQ_PATCH: 40}

# The longest unseen piece, in ms, of media that nothing was promised of: longer than any limit. The
# largest integer that every reader of JSON keeps as it is (RFC 8259, section 6).
NOT_KNOWN_MS: Final = 2**53 - 1

# The chance of a miss, in parts per million, of what nothing was promised of: it is certain.
ALL_MISSED: Final = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EntryRef:
    """Names an entry without saying anything of its hashes."""

    entry_id: str
    reference: str
    label: str
    bank_id: str
    bank_name: str


@dataclass(frozen=True, slots=True)
class BankPolicy:
    """What becomes of what a bank finds.

    A bank in shadow finds and does nothing. ``traffic_percent``, 0 to 100: of so many uploads, by
    their SHA-256, what a live bank finds has consequences. ``block_score`` and ``review_score``,
    0 to 100: evidence whose score is less does not block, or has no consequences at all; see
    `Evidence.score`. At 14 one clean upload of a million is blocked wrongly. ``flood_limit``: an
    entry that blocks so many different files within an hour, far more than others, is quarantined;
    0: never.
    """

    mode: BankMode = BankMode.LIVE
    traffic_percent: int = 100
    block_score: int = 14
    review_score: int = 0
    flood_limit: int = 1000


@dataclass(frozen=True, slots=True)
class Bank:
    """A named collection of entries under one policy."""

    bank_id: str
    name: str
    label: str
    action: Action
    thresholds: Mapping[Kind, int]  # Most differing bits, for each kind the bank uses.
    state: BankState
    revision: int
    create_time: datetime.datetime
    update_time: datetime.datetime
    active_entries: int = 0
    activation: Activation = Activation.ONE_PERSON
    policy: BankPolicy = field(default_factory=BankPolicy)

    @property
    def acts(self) -> bool:
        """True if an upload may be held back for what it finds."""
        return (
            self.state is BankState.ACTIVE
            and self.policy.mode is BankMode.LIVE
            and self.policy.traffic_percent > 0
            and self.action is not Action.OVERRULE
        )

    @property
    def overrules(self) -> bool:
        """True if it is a negative bank in force."""
        return (
            self.action is Action.OVERRULE
            and self.state is BankState.ACTIVE
            and self.policy.mode is BankMode.LIVE
        )

    @property
    def etag(self) -> str:
        """Changes whenever the bank does."""
        return f"{self.revision}"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why an entry is there, and where it came from. Empty where nobody said.

    ``severity`` is 1 (least) to 4, 0 if not said; ``language`` is that of the ``note``, as BCP 47
    names it. ``confirmed``: a person has looked at the item and found that it shows ``category``.
    """

    source: str = ""
    legal_basis: str = ""
    category: Category | None = None
    severity: int = 0
    note: str = ""
    language: str = ""
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class KindCount:
    """How many hashes of a kind an entry has, and how many are rich enough to match by."""

    kind: Kind
    count: int
    usable: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One prohibited item of a bank. Its hashes live in `Signals`, apart from it.

    ``proposed_by`` and ``approved_by`` are ids of callers, empty where nobody was asked who he is,
    or nobody had to approve. From ``expire_time`` on it is out of use; None: never.
    """

    ref: EntryRef
    state: EntryState
    kinds: tuple[KindCount, ...]
    duration_ms: int
    revision: int
    create_time: datetime.datetime
    update_time: datetime.datetime
    coverage: Coverage | None = None  # Of its media; None if it was made of hashes.
    reasons: tuple[Reason, ...] = ()  # Why that is not all of it.
    provenance: Provenance = field(default_factory=Provenance)
    proposed_by: str = ""
    approved_by: str = ""
    expire_time: datetime.datetime | None = None
    quarantine_time: datetime.datetime | None = None  # Since when; None: it is not.


@dataclass(frozen=True, slots=True)
class BlocklistChange:
    """One change of the blocklist: the bank or the entry as it was after it.

    Many entries that were created at once are as many changes of one revision. To go on after this
    change, give ``resume_token``.
    """

    revision: int
    type: ChangeType
    time: datetime.datetime
    bank: Bank | None
    entry: Entry | None
    resume_token: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Says that all changes up to ``revision`` were told, and that there was none after it at
    ``time``.
    """

    revision: int
    time: datetime.datetime
    resume_token: str


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """What is wrong with the audit trail: at which row, 0 where none is there."""

    row: int
    problem: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What came of a verification: the number of rows, the newest one's hash in hexadecimal digits,
    and what is wrong.
    """

    rows: int
    head: str
    findings: tuple[AuditFinding, ...]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what, and when. ``actor`` is a caller's id; empty of the server itself. ``revision``
    is the blocklist's that it made, 0 if none; ``details`` is JSON.
    """

    row: int
    time: datetime.datetime
    actor: str
    actor_name: str
    action: str
    subject: str
    revision: int
    details: str


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a verdict, with a sentence for people."""

    code: VerdictReason
    detail: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the upload that shows a stretch of an entry; both ends included, in ms."""

    media_start_ms: int
    media_end_ms: int
    entry_start_ms: int
    entry_end_ms: int
    frames: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that speaks for one entry by one kind of hash.

    ``score``: natural logarithm of how unlikely it is that an unrelated upload matches ten million
    hashes so well; None where that was not measured (exact kinds, pHash). ``action`` is what it
    leads to, or would, if it acted.
    """

    entry: EntryRef
    action: Action
    kind: Kind
    part: Part
    turn: Turn
    distance: int
    threshold: int
    frames: int
    segments: tuple[Segment, ...] = ()
    score: int | None = None
    effect: Effect = Effect.ACTS
    quarantined: bool = False  # Leads to REVIEW at most: its entry matches far more than others.


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What a media may have at most to be decoded; ``max_frame_pixels`` of each frame."""

    max_duration_ms: int
    max_frame_pixels: int
    max_frames: int = 2_000_000
    max_streams: int = 64


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What the media is, as far as it was looked at; 0 or empty where not known."""

    size_bytes: int = 0
    sha256: bytes = b""
    format: str = ""
    width: int = 0
    height: int = 0
    duration_header_ms: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which part of the media was really looked at.

    The last three say what was promised, and deny it by default: incomplete coverage, hashes that
    a caller made and records of before there were promises have the defaults.

    ``longest_unseen_ms``: the longest stretch of running time of which no frame was looked at, 0 if
    every frame was; `NOT_KNOWN_MS` by default. ``seen_permille``: the share of the running time
    whose shown frame was looked at, 0 to 1000. ``miss_per_million``: upper bound of the chance, in
    parts per million, that a picture which takes up a tenth of the running time in all went unseen;
    0 if all was looked at, `ALL_MISSED` by default.
    """

    complete: bool = False
    duration_content_ms: int = 0
    frames_decoded: int = 0
    frames_hashed: int = 0
    frames_flat: int = 0
    frames_failed: int = 0
    largest_gap_ms: int = 0
    streams: int = 0
    by_caller: bool = False
    longest_unseen_ms: int = NOT_KNOWN_MS
    seen_permille: int = 0
    miss_per_million: int = ALL_MISSED

    def broken_off(self) -> Coverage:
        """The same counts, neither complete nor with any promise."""
        return replace(
            self,
            complete=False,
            longest_unseen_ms=NOT_KNOWN_MS,
            seen_permille=0,
            miss_per_million=ALL_MISSED,
        )


@dataclass(frozen=True, slots=True)
class Screening:
    """The record of one media's check, with its newest judgement.

    ``evidence`` acts; ``unacted`` is what was found besides and has no consequences, with its
    `Effect`. ``decision`` is what a person decided of its case, None while nobody has.

    ``look_version`` names what looked at the media: decoder, sampler and views of hashmatch, and
    the libraries below them. Equal texts see the same; empty if not known, or if a caller hashed
    it.

    ``evidence_withheld``: the caller is told the verdict and the class of its reasons alone; the
    rest is empty.
    """

    screening_id: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    media: MediaInfo
    coverage: Coverage
    blocklist_revision: int
    hash_versions: Mapping[Kind, str]
    create_time: datetime.datetime
    judge_time: datetime.datetime
    judgement: int = 1
    elapsed_ms: float = 0.0
    evidence_withheld: bool = False
    unacted: tuple[Evidence, ...] = ()
    case_id: str = ""
    decision: CaseDecision | None = None
    look_version: str = ""

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a verdict that its reasons or evidence do not bear out."""
        matched = self.verdict in (Verdict.BLOCK, Verdict.REVIEW) and not self.evidence_withheld
        if not self.reasons or matched != bool(self.evidence):
            raise ValueError(
                f"a {self.verdict.name} verdict with {len(self.reasons)} reasons and "
                f"{len(self.evidence)} evidence"
            )
        if self.verdict is Verdict.NO_MATCH and not self.coverage.complete:
            raise ValueError("a NO_MATCH verdict without complete coverage")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; ``next_token`` is empty on the last. ``revision`` is that of the
    blocklist at this moment, in lists of what it holds.
    """

    items: tuple[T, ...] = field(default=())
    next_token: str = ""
    revision: int = 0
