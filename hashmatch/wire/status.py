"""Errors as gRPC statuses, and back."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from hashmatch import errors
from hashmatch.errors import HashmatchError

__all__ = ["DETAILS_KEY", "TAKEN_KEY", "code_of", "error_from_call", "status_details"]

# Where gRPC carries a google.rpc.Status.
DETAILS_KEY: Final = "grpc-status-details-bin"

# Initial metadata: an upload has a place. One that is refused has none of it.
TAKEN_KEY: Final = "hashmatch-taken"

_DOMAIN: Final = "hashmatch"

# What gRPC itself says of a message that is too long, before any handler sees it.
_TOO_LONG: Final = "larger than max"

# What gRPC itself says, as INTERNAL, if the connection breaks off while a message is being sent.
_BROKEN_OFF: Final = "Internal error from Core"

# CANCELLED: a stream that the server ended early, whose status was lost behind what was still being
# sent. What a caller cancels himself is no error that comes here.
_BROKEN: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
)

_CODES: Final[tuple[tuple[type[HashmatchError], grpc.StatusCode], ...]] = (
    (errors.RequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotFound, grpc.StatusCode.NOT_FOUND),
    (errors.BankExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.CallerExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (errors.PermissionDenied, grpc.StatusCode.PERMISSION_DENIED),
    (errors.EtagMismatch, grpc.StatusCode.ABORTED),
    (errors.ChangesCompacted, grpc.StatusCode.OUT_OF_RANGE),
    (errors.RevisionUnknown, grpc.StatusCode.OUT_OF_RANGE),
    (errors.Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.SpoolFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
)


def code_of(error: HashmatchError) -> grpc.StatusCode:
    """The canonical code of an error."""
    for cls, code in _CODES:
        if isinstance(error, cls):
            return code
    return grpc.StatusCode.INTERNAL


def status_details(error: HashmatchError) -> bytes:
    """The google.rpc.Status of an error: ErrorInfo, and RetryInfo where trying again helps."""
    status = status_pb2.Status(code=code_of(error).value[0], message=str(error))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=_DOMAIN, metadata=error.metadata)
    status.details.add().Pack(info)
    if isinstance(error, errors.Unavailable):
        delay = Duration()
        delay.FromMilliseconds(error.retry_after_ms)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return bytes(status.SerializeToString())


def error_from_call(call: grpc.RpcError) -> HashmatchError:
    """The error that a failed call stands for, as the server raised it where it says so."""
    code, message, details = _parts(call)
    status, info, retry = _parse(details)
    if info.domain == _DOMAIN:
        error = HashmatchError.__new__(errors.by_reason(info.reason))
        HashmatchError.__init__(error, status.message)
        error.metadata = dict(info.metadata)
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        error = errors.DeadlineExceeded("no answer within the deadline")
    elif code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LONG in message:
        error = errors.InvalidField("message", message)
    elif code in _BROKEN or message == _BROKEN_OFF:
        error = errors.Unreachable(f"the server cannot be reached: {message}")
    else:
        error = errors.Internal(f"the server answered {code.name}: {message}")
    if isinstance(error, errors.Unavailable) and retry.HasField("retry_delay"):
        # One that is no duration does not come from a server of ours.
        with contextlib.suppress(OverflowError, ValueError):
            error.retry_after_ms = retry.retry_delay.ToMilliseconds()
    return error


def _parse(
    details: bytes,
) -> tuple[status_pb2.Status, error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo]:
    status, info = status_pb2.Status(), error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    # What cannot be read does not come from a server of ours: nothing is made of it.
    with contextlib.suppress(DecodeError):
        status.ParseFromString(details)
        for detail in status.details:
            detail.Unpack(info)
            detail.Unpack(retry)
    return status, info, retry


def _parts(call: grpc.RpcError) -> tuple[grpc.StatusCode, str, bytes]:
    # Both the synchronous and the asyncio error have these, but no common base that says so.
    failed: Any = call
    trailing = failed.trailing_metadata() or ()
    details = next((value for key, value in trailing if key == DETAILS_KEY), b"")
    return failed.code(), failed.details() or "", details
