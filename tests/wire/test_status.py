"""Errors on their way to the caller, and what a client makes of them."""

from __future__ import annotations

import re

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st

from hashmatch import errors
from hashmatch.errors import HashmatchError
from hashmatch.wire.status import DETAILS_KEY, code_of, error_from_call, status_details
from tests.data import release
from tests.support import PATIENT


def leaves(root: type[HashmatchError]) -> list[type[HashmatchError]]:
    """The classes that are raised."""
    below = root.__subclasses__()
    return [root] if not below else [leaf for each in below for leaf in leaves(each)]


SENT = [cls for cls in leaves(HashmatchError) if cls not in errors.NEVER_SENT]


def raised(cls: type[HashmatchError], message: str, metadata: dict[str, str]) -> HashmatchError:
    """An error of any class, whatever its own constructor takes."""
    error = cls.__new__(cls)
    HashmatchError.__init__(error, message, **metadata)
    return error


def as_call(error: HashmatchError) -> aio.AioRpcError:
    """The failed call that a client gets of it."""
    trailing = aio.Metadata(("other", "value"), (DETAILS_KEY, status_details(error)))
    return aio.AioRpcError(code_of(error), aio.Metadata(), trailing, details=str(error))


def plain_call(code: grpc.StatusCode, details: str = "what gRPC says") -> aio.AioRpcError:
    """A failed call that no server of ours answered."""
    return aio.AioRpcError(code, aio.Metadata(), aio.Metadata(), details=details)


@PATIENT
@given(
    st.sampled_from(SENT),
    st.text(),
    st.dictionaries(st.sampled_from(["field", "setting", "media_reason"]), st.text()),
)
def test_an_error_comes_back_as_it_was_raised(
    cls: type[HashmatchError], message: str, metadata: dict[str, str]
) -> None:
    """A pipeline that handles MediaUnusable would get some other error instead."""
    received = error_from_call(as_call(raised(cls, message, metadata)))
    assert type(received) is cls
    assert str(received) == message
    assert received.metadata == metadata


@pytest.mark.parametrize("cls", SENT)
def test_every_error_says_its_domain_and_reason(cls: type[HashmatchError]) -> None:
    """A program in another language could only look at the message."""
    status = status_pb2.Status.FromString(status_details(raised(cls, "what is wrong", {})))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("hashmatch", cls.reason)
    assert status.code == code_of(raised(cls, "", {})).value[0]
    assert status.message == "what is wrong"


@pytest.mark.parametrize("cls", SENT)
def test_errors_say_when_to_try_again_if_it_helps(cls: type[HashmatchError]) -> None:
    """Clients would hammer a full server, or try a wrong request for ever."""
    status = status_pb2.Status.FromString(status_details(raised(cls, "", {})))
    retry = error_details_pb2.RetryInfo()
    has_retry = any(detail.Unpack(retry) for detail in status.details)
    assert has_retry == issubclass(cls, errors.Unavailable)
    if has_retry:
        assert retry.retry_delay.ToMilliseconds() > 0


def test_the_time_to_wait_travels() -> None:
    """A client would come back long before there is room again."""
    full = errors.SpoolFull("full")
    full.retry_after_ms = 12_345
    received = error_from_call(as_call(full))
    assert isinstance(received, errors.SpoolFull)
    assert received.retry_after_ms == 12_345


def test_codes_are_those_that_the_protos_promise() -> None:
    """A caller who reads errors.proto would look for another code than the one that comes."""
    [proto] = [
        file
        for file in release.describe(comments=True).file
        if file.name == "hashmatch/v1/errors.proto"
    ]
    [listed] = proto.enum_type
    comments = {
        tuple(place.path): place.leading_comments for place in proto.source_code_info.location
    }
    promised = {}
    for place, value in enumerate(listed.value):
        comment = comments[5, 0, 2, place]
        if "the client" not in comment and value.number:
            code = re.match(r" ([A-Z_]+):", comment)
            assert code, value.name
            promised[value.name.removeprefix("ERROR_REASON_")] = code[1]
    for cls in SENT:
        if cls not in (errors.Unreachable, errors.DeadlineExceeded):
            assert code_of(raised(cls, "", {})).name == promised.pop(cls.reason)
    # What is left is of a server's class with the same reason, or nobody's.
    assert promised.keys() <= {"UNREACHABLE"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unreachable),
        (grpc.StatusCode.CANCELLED, errors.Unreachable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Internal),
        (grpc.StatusCode.UNKNOWN, errors.Internal),
        (grpc.StatusCode.PERMISSION_DENIED, errors.Internal),
    ],
)
def test_what_is_not_ours_is_still_an_error_of_ours(
    code: grpc.StatusCode, expected: type[HashmatchError]
) -> None:
    """A pipeline that catches HashmatchError would crash on a proxy's answer."""
    received = error_from_call(plain_call(code))
    assert type(received) is expected
    if code is not grpc.StatusCode.DEADLINE_EXCEEDED:
        assert "what gRPC says" in str(received)


def test_a_connection_that_breaks_off_may_be_tried_again() -> None:
    """An upload whose server was killed just then would fail for good."""
    call = plain_call(grpc.StatusCode.INTERNAL, "Internal error from Core")
    assert type(error_from_call(call)) is errors.Unreachable
    assert type(error_from_call(plain_call(grpc.StatusCode.INTERNAL))) is errors.Internal


def test_details_of_another_domain_are_not_taken_for_ours() -> None:
    """Another service's reason of the same name would be raised as our error."""
    status = status_pb2.Status(code=5, message="of another")
    info = error_details_pb2.ErrorInfo(reason="BANK_NOT_FOUND", domain="example.com")
    status.details.add().Pack(info)
    trailing = aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    call = aio.AioRpcError(grpc.StatusCode.NOT_FOUND, aio.Metadata(), trailing, details="theirs")
    assert type(error_from_call(call)) is errors.Internal


def test_a_reason_of_a_newer_server_is_a_fault() -> None:
    """A client of an older version would crash instead of reporting the error."""
    status = status_pb2.Status(code=9, message="new")
    info = error_details_pb2.ErrorInfo(reason="OF_THE_FUTURE", domain="hashmatch")
    info.metadata["message"] = "a key that is also a parameter's name"
    status.details.add().Pack(info)
    trailing = aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    call = aio.AioRpcError(
        grpc.StatusCode.FAILED_PRECONDITION, aio.Metadata(), trailing, details="new"
    )
    received = error_from_call(call)
    assert type(received) is errors.Internal
    assert str(received) == "new"


@PATIENT
@given(st.binary(min_size=1, max_size=40))
def test_details_that_nobody_can_read_are_left_out(details: bytes) -> None:
    """A client would crash on what some proxy appended."""
    trailing = aio.Metadata((DETAILS_KEY, details))
    call = aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), trailing, details="gone")
    assert isinstance(error_from_call(call), HashmatchError)
