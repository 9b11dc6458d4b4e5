"""Fields of requests."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hashmatch.errors import InvalidField
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.verdicts import Kind
from hashmatch.server.grpc import fields
from hashmatch.v1 import blocklist_service_pb2 as pb
from tests.support import PATIENT

ALLOWED_IN_IDS = string.ascii_letters + string.digits + "-_"


def refused(check: Callable[..., Any], *given: Any) -> InvalidField:
    """The error; that it is raised at all is half of each test below."""
    with pytest.raises(InvalidField) as caught:
        check(*given)
    return caught.value


@PATIENT
@given(st.text(ALLOWED_IN_IDS, min_size=1, max_size=64))
def test_request_ids_may_be_what_the_proto_says(value: str) -> None:
    """A pipeline with ids of its own could not use them."""
    assert fields.request_id(value) == value


@PATIENT
@given(st.text())
def test_other_request_ids_are_refused(value: str) -> None:
    """An id that is stored otherwise than it was sent makes a retry a second upload."""
    assume(not value or set(value) - set(ALLOWED_IN_IDS))
    assert refused(fields.request_id, value).metadata == {"field": "request_id"}


@pytest.mark.parametrize("value", ["", "a" * 65, "a b", "a\n", "\u0661", "a\0"])
def test_request_ids_at_the_edge_are_refused(value: str) -> None:
    """A trailing newline or a digit of another script would slip through."""
    refused(fields.request_id, value)


@PATIENT
@given(st.text(max_size=30), st.text(max_size=30))
def test_a_request_is_told_from_every_other(name: str, label: str) -> None:
    """A repeat with other content would get the answer of the first."""

    def identity(said: Any) -> Call:
        return fields.change(said, "id")

    first = pb.CreateBankRequest(request_id="id", name=name, label=label)
    assert identity(first) == identity(pb.CreateBankRequest.FromString(first.SerializeToString()))
    other = pb.CreateBankRequest(request_id="id", name=name, label=label + "x")
    assert identity(first) != identity(other)
    # The same bytes mean another thing in another message.
    withdraw = pb.WithdrawEntryRequest(request_id="id", entry_id=name)
    archive = pb.ArchiveBankRequest(request_id="id", bank=name)
    assert withdraw.SerializeToString() == archive.SerializeToString()
    assert identity(withdraw) != identity(archive)


def test_a_change_needs_a_request_id() -> None:
    """A change that cannot be repeated safely would be made."""
    assert "request_id" in refused(fields.change, pb.CreateBankRequest(), "").metadata["field"]


def test_an_absent_field_is_not_an_empty_one() -> None:
    """Setting a label to nothing and leaving it alone would be one request."""
    absent = pb.UpdateBankRequest(request_id="id", bank="b")
    empty = pb.UpdateBankRequest(request_id="id", bank="b", label="")
    assert fields.change(absent, "id") != fields.change(empty, "id")


def test_names_of_things_must_be_given() -> None:
    """A request without a name would be answered 'there is no bank '''."""
    assert fields.required("bank", "b") == "b"
    assert str(refused(fields.required, "bank", "")) == "bank: is not given"


def test_names_of_things_have_an_end() -> None:
    """An error that quotes a name of a megabyte does not reach its caller at all."""
    assert fields.required("bank", "b" * 64) == "b" * 64
    error = refused(fields.required, "bank", "b" * 5000)
    assert len(str(error)) < 200


@PATIENT
@given(st.text())
def test_texts_are_printable_and_short(value: str) -> None:
    """A reference could clear the terminal of whoever lists entries."""
    if len(value) <= 10 and value.isprintable():
        assert fields.text("label", value, 10) == value
    else:
        assert refused(fields.text, "label", value, 10).metadata == {"field": "label"}


@pytest.mark.parametrize("value", ["\x1b[2J", "a\nb", "a\x9bb", "\u202egnp.exe", "\ud7fb\ue000"])
def test_texts_that_steer_a_terminal_are_refused(value: str) -> None:
    """A file name could show itself as another."""
    assert value not in str(refused(fields.text, "reference", value, 256))


def test_texts_are_counted_in_characters() -> None:
    """A name in Chinese would have a third of the room of an English one."""
    assert fields.text("reference", "界" * 256, 256) == "界" * 256
    refused(fields.text, "reference", "界" * 257, 256)


@PATIENT
@given(st.text(ALLOWED_IN_IDS + ".", min_size=1, max_size=64))
def test_bank_names_may_be_what_the_proto_says(value: str) -> None:
    """A bank could not be named as its keepers name it."""
    assume(not value.startswith("bnk_"))
    assert fields.name(value, ids.BANK) == value


@pytest.mark.parametrize("value", ["", "a" * 65, "bnk_x", "a/b", "a b", "näme", "a\n", "\u0661"])
def test_other_bank_names_are_refused(value: str) -> None:
    """A name that could be an id would lead to the wrong bank."""
    assert refused(fields.name, value, ids.BANK).metadata == {"field": "name"}


def test_sizes() -> None:
    """An upload of unknown size would be refused, or a negative one taken."""
    assert fields.size_bytes(0) == 0
    assert fields.size_bytes(2**62) == 2**62
    assert "-1 is below 0" in str(refused(fields.size_bytes, -1))


@pytest.mark.parametrize(("value", "expected"), [(0, 100), (1, 1), (1000, 1000)])
def test_page_sizes(value: int, expected: int) -> None:
    """A page would be larger than was asked for, or empty."""
    assert fields.page_size(value) == expected


@pytest.mark.parametrize("value", [-1, 1001, 2**31 - 1])
def test_page_sizes_out_of_range_are_refused(value: int) -> None:
    """One request could ask for everything at once."""
    assert refused(fields.page_size, value).metadata == {"field": "page_size"}


@PATIENT
@given(st.integers(1, 10**18 - 1))
def test_page_tokens_are_read_as_written(value: int) -> None:
    """A page would begin in the wrong place."""
    assert fields.page_token(f"{value}") == value


@pytest.mark.parametrize("value", ["0", "-1", "01", "1 ", "1\n", "\u0661", "9" * 19, "x", "1_0"])
def test_other_page_tokens_are_refused(value: str) -> None:
    """A made-up token would overflow the database's integers, or start the list anew."""
    assert fields.page_token("") == 0
    assert refused(fields.page_token, value).metadata == {"field": "page_token"}


@PATIENT
@given(st.dictionaries(st.sampled_from(Kind), st.integers(0, 2**32 - 1)))
def test_thresholds_are_read_by_kind(chosen: dict[Kind, int]) -> None:
    """A bank would match by another distance than was asked for."""
    messages = [
        pb.KindThreshold(kind=int(kind), max_distance=most)  # type: ignore[arg-type]
        for kind, most in chosen.items()
    ]
    assert fields.thresholds(messages) == chosen


def test_a_kind_has_one_threshold() -> None:
    """Which of two thresholds counts would be chance."""
    twice = [pb.KindThreshold(kind=1, max_distance=most) for most in (31, 63)]  # type: ignore[arg-type]
    assert "PDQ comes twice" in str(refused(fields.thresholds, twice))
    nameless = [pb.KindThreshold(max_distance=31)]
    assert refused(fields.thresholds, nameless).metadata == {"field": "kinds.kind"}


def test_every_number_of_a_policy_has_a_limit() -> None:
    """A number that is added to the proto would be stored as it comes, however large."""
    for field in pb.BankPolicy.DESCRIPTOR.fields:
        if field.name != "mode":
            message = pb.BankPolicy()
            setattr(message, field.name, 2**32 - 1)
            assert refused(fields.policy, message).metadata == {"field": f"policy.{field.name}"}


def test_every_text_of_a_provenance_has_a_limit() -> None:
    """A text that is added to the proto would be stored as it comes, however long."""
    texts = [each.name for each in pb.Provenance.DESCRIPTOR.fields if each.type == each.TYPE_STRING]
    assert "note" in texts
    for name in texts:
        for value in ("a" * 2001, "\u202e"):
            message = pb.Provenance()
            setattr(message, name, value)
            assert refused(fields.provenance, message).metadata == {"field": name}
