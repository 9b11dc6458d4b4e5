"""Hashes on their way in and out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import InvalidField
from hashmatch.model.signals import MAX_SIGNALS, Signals, part_of, turn_of
from hashmatch.model.verdicts import Kind, Part, Turn
from hashmatch.v1 import common_pb2 as pb
from hashmatch.wire.signals import signals_from_wire, signals_to_wire
from tests.support import PATIENT, any_signals, digests, same_signals, signals


def message(kind: Kind = Kind.PDQ, count: int = 2) -> pb.Signals:
    """Sound hashes of no media."""
    return signals_to_wire(signals(1, count, kind))


@PATIENT
@given(
    st.lists(st.sampled_from(Kind), unique=True).flatmap(
        lambda kinds: st.tuples(*[any_signals(kind) for kind in kinds])
    )
)
def test_signals_come_back_as_they_went(sent: tuple[Signals, ...]) -> None:
    """A hash that loses a bit on its way matches other media."""
    received = signals_from_wire(
        pb.Signals.FromString(signals_to_wire(each).SerializeToString()) for each in sent
    )
    assert same_signals(received, sent)


def test_digests_are_the_bytes_themselves() -> None:
    """Other programs would have to guess the order of bytes."""
    sent = signals(3, 2)
    assert signals_to_wire(sent).digests == b"".join(bytes(row) for row in sent.digests)


@pytest.mark.parametrize("kind", Kind)
def test_columns_may_be_left_out(kind: Kind) -> None:
    """A caller with nothing but digests would have to invent the rest."""
    count = 1 if kind.exact else 3
    raw = digests(4, count, kind)
    [received] = signals_from_wire([pb.Signals(kind=int(kind), digests=raw.tobytes())])  # type: ignore[arg-type]
    assert np.array_equal(received.digests, raw)
    assert received.quality.tolist() == [100] * count
    assert received.pts_ms.tolist() == [0] * count
    assert [part_of(view) for view in received.view.tolist()] == [Part.FULL] * count
    assert [turn_of(view) for view in received.view.tolist()] == [Turn.NONE] * count


def test_every_view_travels() -> None:
    """A mirrored match would be shown as it is not."""
    for part, turn in itertools.product(Part, Turn):
        sent = message(count=1)
        sent.views[0].part, sent.views[0].turn = int(part), int(turn)  # type: ignore[assignment]
        [received] = signals_from_wire([sent])
        view = int(received.view[0])
        assert (part_of(view), turn_of(view)) == (part, turn)


def refused(*messages: pb.Signals) -> InvalidField:
    """The error; that it is raised at all is half of each test below."""
    with pytest.raises(InvalidField) as caught:
        signals_from_wire(messages)
    return caught.value


def test_a_digest_of_the_wrong_length_is_refused() -> None:
    """All digests after it would be shifted, and match anything but the media."""
    short = message()
    short.digests = short.digests[:-1]
    error = refused(message(Kind.SHA256, 1), short)
    assert error.metadata == {"field": "signals[1].digests"}
    assert "63 bytes; a multiple of 32" in str(error)


def test_no_digest_at_all_is_refused() -> None:
    """A kind without a hash would count as looked at."""
    assert refused(pb.Signals(kind=pb.KIND_PDQ)).metadata["field"] == "signals[0].digests"


def test_a_kind_comes_once() -> None:
    """Half of the hashes of a kind would be left out."""
    assert "PDQ comes twice" in str(refused(message(), message()))


def test_a_kind_is_needed() -> None:
    """Digests of an unknown kind would be compared with those of another."""
    nameless = message()
    nameless.kind = pb.KIND_UNSPECIFIED
    assert refused(nameless).metadata["field"] == "signals[0].kind"


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.exact])
def test_a_file_has_one_exact_hash(kind: Kind) -> None:
    """One request could try any number of files' hashes at once."""
    many = pb.Signals(kind=int(kind), digests=digests(1, 2, kind).tobytes())  # type: ignore[arg-type]
    assert f"2 {kind.name}; a file has one" in str(refused(many))


@pytest.mark.parametrize("column", ["quality", "pts_ms", "views"])
@pytest.mark.parametrize("count", [1, 3])
def test_columns_of_unequal_length_are_refused(column: str, count: int) -> None:
    """Times and views would belong to the wrong frames."""
    uneven = message(count=2)
    other = message(count=count)
    uneven.ClearField(column)  # type: ignore[arg-type]
    if column == "quality":
        uneven.quality = other.quality
    elif column == "pts_ms":
        uneven.pts_ms.extend(other.pts_ms)
    else:
        uneven.views.extend(other.views)
    assert refused(uneven).metadata["field"] == "signals[0]"


def test_a_quality_beyond_its_scale_is_refused() -> None:
    """Flat frames could be passed off as rich."""
    proud = message(count=1)
    proud.quality = b"\x65"
    assert "101 is above 100" in str(refused(proud))


@pytest.mark.parametrize("time", [2**62, -(2**62), 100 * 24 * 3600 * 1000 + 1])
def test_a_time_out_of_the_world_is_refused(time: int) -> None:
    """Sums of such times overflow, and gaps come out small."""
    odd = message(count=1)
    odd.pts_ms[0] = time
    refused(odd)


@pytest.mark.parametrize(("part", "turn"), [(0, 1), (1, 0), (5, 1), (1, 9), (31, 8)])
def test_an_unknown_view_is_refused(part: int, turn: int) -> None:
    """A view of the future would be taken for one of today."""
    odd = message(count=1)
    odd.views[0].part, odd.views[0].turn = part, turn  # type: ignore[assignment]
    assert "views" in refused(odd).metadata["field"]


def test_too_many_hashes_are_refused() -> None:
    """One request could keep the index busy for hours."""
    many = pb.Signals(kind=pb.KIND_PHASH, digests=bytes(8 * (MAX_SIGNALS + 1)))
    assert f"at most {MAX_SIGNALS}" in str(refused(many))


@PATIENT
@given(
    st.integers(-1, 7),
    st.binary(max_size=70),
    st.binary(max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    st.lists(st.tuples(st.integers(-1, 40), st.integers(-1, 10)), max_size=4),
)
def test_whatever_comes_is_sound_or_refused(
    kind: int, raw: bytes, quality: bytes, times: list[int], views: list[tuple[int, int]]
) -> None:
    """A crafted request would be an INTERNAL error, or get past the checks."""
    crafted = pb.Signals(
        kind=kind,  # type: ignore[arg-type]
        digests=raw,
        quality=quality,
        pts_ms=times,
        views=[pb.View(part=part, turn=turn) for part, turn in views],  # type: ignore[arg-type]
    )
    try:
        [received] = signals_from_wire([crafted])
    except InvalidField as error:
        assert raw.hex() not in str(error) or len(raw) < 4  # noqa: PT017
    else:
        assert received.digests.tobytes() == raw
        assert len(received) == len(raw) // received.kind.width
