"""Every exception that hashmatch raises on purpose.

HashmatchError                    reason of the gRPC error (errors.proto, ErrorReason)
├── RequestError                  the caller must change the request
│   ├── InvalidField              INVALID_FIELD
│   ├── StreamOrder               STREAM_ORDER
│   ├── RequestIdReused           REQUEST_ID_REUSED
│   └── UploadMismatch            UPLOAD_MISMATCH
├── NotFound                      nothing has this id
│   ├── BankNotFound              BANK_NOT_FOUND
│   ├── CallerNotFound            CALLER_NOT_FOUND
│   ├── CaseNotFound              CASE_NOT_FOUND
│   ├── EntryNotFound             ENTRY_NOT_FOUND
│   ├── ImportNotFound            IMPORT_NOT_FOUND
│   └── ScreeningNotFound         SCREENING_NOT_FOUND
├── Conflict                      the request is fine, the state is not
│   ├── BankExists                BANK_EXISTS
│   ├── CallerExists              CALLER_EXISTS
│   ├── EtagMismatch              ETAG_MISMATCH
│   ├── BankArchived              BANK_ARCHIVED
│   ├── MediaUnusable             MEDIA_UNUSABLE
│   ├── EntryNotPending           ENTRY_NOT_PENDING
│   ├── EntryNotQuarantined       ENTRY_NOT_QUARANTINED
│   ├── CaseDecided               CASE_DECIDED
│   ├── SecondPersonNeeded        SECOND_PERSON_NEEDED
│   ├── ListReversed              LIST_REVERSED
│   ├── ChangesCompacted          CHANGES_COMPACTED
│   ├── RevisionUnknown           REVISION_UNKNOWN
│   ├── NotInstalled              NOT_INSTALLED
│   └── ConfigInvalid             CONFIG_INVALID
├── AccessDenied                  who asks is not known, or may not do it
│   ├── Unauthenticated           UNAUTHENTICATED
│   └── PermissionDenied          PERMISSION_DENIED
├── Unavailable                   trying again helps
│   ├── NotReady                  NOT_READY
│   ├── SpoolFull                 SPOOL_FULL
│   ├── Overloaded                OVERLOADED
│   ├── UploadTooSlow             UPLOAD_TOO_SLOW
│   ├── StoreUnavailable          STORE_UNAVAILABLE
│   ├── Unreachable               UNREACHABLE
│   └── DeadlineExceeded          DEADLINE
├── MediaError                    never a gRPC error: the screening is INCONCLUSIVE
├── SnapshotUnusable              never a gRPC error: the index is made anew
└── Internal                      INTERNAL

Messages may be shown to the caller: they carry no hash, no file name of a user and no token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from hashmatch.model.verdicts import VerdictReason

__all__ = [
    "CaseDecided",
    "CaseNotFound",
    "EntryNotQuarantined",
    "NEVER_SENT",
    "AccessDenied",
    "BankArchived",
    "BankExists",
    "BankNotFound",
    "CallerExists",
    "CallerNotFound",
    "ChangesCompacted",
    "ConfigInvalid",
    "Conflict",
    "DeadlineExceeded",
    "EntryNotFound",
    "EntryNotPending",
    "EtagMismatch",
    "HashmatchError",
    "ImportNotFound",
    "Internal",
    "InvalidField",
    "ListReversed",
    "MediaError",
    "MediaUnusable",
    "NotFound",
    "NotInstalled",
    "NotReady",
    "Overloaded",
    "PermissionDenied",
    "RequestError",
    "RequestIdReused",
    "RevisionUnknown",
    "ScreeningNotFound",
    "SecondPersonNeeded",
    "SnapshotUnusable",
    "SpoolFull",
    "StoreUnavailable",
    "StreamOrder",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "UploadMismatch",
    "UploadTooSlow",
    "by_reason",
]


class HashmatchError(Exception):
    """Root of the tree. ``reason`` is stable: programs may rely on it, not on the message."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **metadata: str) -> None:
        """``metadata`` travels with the error as ErrorInfo.metadata."""
        super().__init__(message)
        self.metadata = metadata

    def __reduce__(self) -> tuple[Callable[..., HashmatchError], tuple[object, ...]]:
        """Errors travel between processes whatever their own arguments are."""
        return _rebuilt, (type(self), str(self), dict(self.__dict__))


class Internal(HashmatchError):
    """A fault of hashmatch itself."""


class RequestError(HashmatchError):
    """The caller must change the request."""


class InvalidField(RequestError):
    """A field is missing or wrong."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, problem: str) -> None:
        """``field`` as in the proto, ``problem`` says what was wrong and what is needed."""
        super().__init__(f"{field}: {problem}", field=field)


class StreamOrder(RequestError):
    """A stream does not begin with its header, or has two."""

    reason = "STREAM_ORDER"


class RequestIdReused(RequestError):
    """One request_id was used for two different requests."""

    reason = "REQUEST_ID_REUSED"


class UploadMismatch(RequestError):
    """The bytes received are not those that the header announced."""

    reason = "UPLOAD_MISMATCH"


class NotFound(HashmatchError):
    """Nothing has this id."""


class BankNotFound(NotFound):
    """No such bank."""

    reason = "BANK_NOT_FOUND"


class CallerNotFound(NotFound):
    """No such caller."""

    reason = "CALLER_NOT_FOUND"


class EntryNotFound(NotFound):
    """No such entry."""

    reason = "ENTRY_NOT_FOUND"


class ImportNotFound(NotFound):
    """No such import."""

    reason = "IMPORT_NOT_FOUND"


class CaseNotFound(NotFound):
    """No such case."""

    reason = "CASE_NOT_FOUND"


class ScreeningNotFound(NotFound):
    """No such screening."""

    reason = "SCREENING_NOT_FOUND"


class Conflict(HashmatchError):
    """The request is fine, the state it meets is not."""


class BankExists(Conflict):
    """Another bank has this name."""

    reason = "BANK_EXISTS"


class CallerExists(Conflict):
    """Another caller has this name or these credentials."""

    reason = "CALLER_EXISTS"


class EtagMismatch(Conflict):
    """The resource changed since it was read."""

    reason = "ETAG_MISMATCH"


class BankArchived(Conflict):
    """The bank is out of use."""

    reason = "BANK_ARCHIVED"


class MediaUnusable(Conflict):
    """No entry can be made of this media."""

    reason = "MEDIA_UNUSABLE"


class EntryNotPending(Conflict):
    """The entry does not wait for anybody's approval."""

    reason = "ENTRY_NOT_PENDING"


class EntryNotQuarantined(Conflict):
    """The entry does not wait for anybody to release it."""

    reason = "ENTRY_NOT_QUARANTINED"


class CaseDecided(Conflict):
    """Somebody has decided the case already."""

    reason = "CASE_DECIDED"


class SecondPersonNeeded(Conflict):
    """Who proposed an entry cannot approve it."""

    reason = "SECOND_PERSON_NEEDED"


class ListReversed(Conflict):
    """The hashes of a list are written in another order than everybody else's."""

    reason = "LIST_REVERSED"


class ChangesCompacted(Conflict):
    """Changes that were asked for are no longer kept."""

    reason = "CHANGES_COMPACTED"

    def __init__(self, after: int, oldest: int) -> None:
        """Those after ``after`` were asked for; those after ``oldest`` are there."""
        super().__init__(
            f"the changes after revision {after} are no longer all kept, those after {oldest} are; "
            "list the blocklist anew and watch from the revision of the list",
            oldest_revision=f"{oldest}",
        )


class RevisionUnknown(Conflict):
    """A revision that the blocklist has not reached, or of another blocklist."""

    reason = "REVISION_UNKNOWN"

    def __init__(self, problem: str, newest: int) -> None:
        """``problem`` says which; ``newest`` is the revision that the blocklist is at."""
        super().__init__(
            f"{problem}; list the blocklist anew and watch from the revision of the list",
            newest_revision=f"{newest}",
        )


class NotInstalled(Conflict):
    """A part of hashmatch that was asked for is not installed."""

    reason = "NOT_INSTALLED"


class ConfigInvalid(Conflict):
    """A setting is wrong."""

    reason = "CONFIG_INVALID"


class AccessDenied(HashmatchError):
    """Who asks is not known, or may not do it. All say the same: what is missing would help whoever
    tries.
    """

    def __init__(self) -> None:
        """Says nothing of the reason."""
        super().__init__("Denied: invalid credentials or insufficient role")


class Unauthenticated(AccessDenied):
    """No credentials, or none that are valid."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(AccessDenied):
    """The caller's roles do not allow it, or not for this bank."""

    reason = "PERMISSION_DENIED"


class Unavailable(HashmatchError):
    """Trying again helps. ``retry_after_ms`` says when."""

    retry_after_ms: int = 1000


class NotReady(Unavailable):
    """The server is starting or stopping."""

    reason = "NOT_READY"


class SpoolFull(Unavailable):
    """No room for this upload now."""

    reason = "SPOOL_FULL"


class Overloaded(Unavailable):
    """As many uploads are under way as the server takes, or takes of this caller."""

    reason = "OVERLOADED"


class UploadTooSlow(Unavailable):
    """Nothing came for too long, or all of it took too long."""

    reason = "UPLOAD_TOO_SLOW"


class StoreUnavailable(Unavailable):
    """The store cannot be read or written."""

    reason = "STORE_UNAVAILABLE"


class Unreachable(Unavailable):
    """The client could not reach the server."""

    reason = "UNREACHABLE"


class DeadlineExceeded(Unavailable):
    """No answer within the client's deadline."""

    reason = "DEADLINE"


class SnapshotUnusable(HashmatchError):
    """A file of the index is damaged, or is another's."""


class MediaError(HashmatchError):
    """Why a media could not be looked at in whole. Becomes a reason of an INCONCLUSIVE verdict."""

    def __init__(self, code: VerdictReason, detail: str) -> None:
        """``detail`` is a sentence for people, without file names and hashes."""
        super().__init__(detail)
        self.code = code
        self.detail = detail


def _rebuilt(cls: type[HashmatchError], message: str, state: dict[str, object]) -> HashmatchError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


# Not told to callers.
NEVER_SENT: Final = (MediaError, SnapshotUnusable)


def _leaves(root: type[HashmatchError]) -> list[type[HashmatchError]]:
    below = root.__subclasses__()
    return [root] if not below else [leaf for each in below for leaf in _leaves(each)]


def by_reason(reason: str) -> type[HashmatchError]:
    """The class whose reason this is, for a client that rebuilds an error; Internal if unknown."""
    for leaf in _leaves(HashmatchError):
        if leaf.reason == reason and leaf not in NEVER_SENT:
            return leaf
    return Internal
