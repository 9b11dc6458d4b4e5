"""`Signals`: the one type that crosses every floor, checked when made."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.model.signals import MAX_SIGNALS, Signals, part_of, turn_of, view_code
from hashmatch.model.verdicts import Kind, Part, Turn

MAX_MS = 100 * 24 * 3600 * 1000
VIEWS = [view_code(part, turn) for part in Part for turn in Turn]


@st.composite
def signals(draw: st.DrawFn, most: int = 6) -> Signals:
    """Any sound signals of at most ``most`` hashes."""
    kind = draw(st.sampled_from(Kind))
    n = draw(st.integers(0, most))

    def column(values: st.SearchStrategy[int], dtype: Any) -> np.ndarray[Any, Any]:
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype)

    return Signals(
        kind,
        np.frombuffer(
            draw(st.binary(min_size=n * kind.width, max_size=n * kind.width)), np.uint8
        ).reshape(n, kind.width),
        column(st.integers(0, 100), np.uint8),
        column(st.integers(-MAX_MS, MAX_MS), np.int64),
        column(st.sampled_from(VIEWS), np.uint8),
    )


def rows(each: Signals) -> list[tuple[Kind, bytes, int, int, int]]:
    """The hashes one by one, to compare by."""
    return [
        (each.kind, bytes(digest), int(quality), int(pts_ms), int(view))
        for digest, quality, pts_ms, view in zip(
            each.digests, each.quality, each.pts_ms, each.view, strict=True
        )
    ]


def sound(n: int = 3, **columns: Any) -> Signals:
    """PDQ signals with some columns replaced."""
    return Signals(
        Kind.PDQ,
        **{
            "digests": np.zeros((n, 32), np.uint8),
            "quality": np.zeros(n, np.uint8),
            "pts_ms": np.zeros(n, np.int64),
            "view": np.full(n, view_code(Part.FULL), np.uint8),
            **columns,
        },
    )


@given(signals())
@settings(deadline=None)
def test_columns_bring_back_what_they_came_from(original: Signals) -> None:
    """A stored or sent hash would come back as another one."""
    again = Signals.from_columns(original.kind, *original.columns())
    assert rows(again) == rows(original)
    assert again.pts_ms.dtype == np.int64


def test_columns_are_little_endian_without_padding() -> None:
    """A database or a worker on another machine would read other times."""
    one = sound(1, pts_ms=np.array([0x0102030405], np.int64), quality=np.array([100], np.uint8))
    assert one.columns() == (bytes(32), b"\x64", b"\x05\x04\x03\x02\x01\0\0\0", b"\x08")


@given(signals(), st.data())
@settings(deadline=None)
def test_select_keeps_columns_together(original: Signals, data: st.DataObject) -> None:
    """A hash would be stored with the time, view or quality of another."""
    mask = data.draw(st.lists(st.booleans(), min_size=len(original), max_size=len(original)))
    chosen = original.select(np.array(mask, np.bool_))
    assert rows(chosen) == [row for row, keep in zip(rows(original), mask, strict=True) if keep]
    backwards = original.select(np.arange(len(original))[::-1])
    assert rows(backwards) == rows(original)[::-1]


@given(st.lists(signals(), max_size=5))
@settings(deadline=None)
def test_concatenate_loses_and_invents_nothing(parts: list[Signals]) -> None:
    """Hashes of a media that came in several messages would be lost, or change their kind."""
    joined = Signals.concatenate(parts)
    assert [each.kind for each in joined] == sorted({part.kind for part in parts})
    for each in joined:
        assert rows(each) == [row for part in parts if part.kind is each.kind for row in rows(part)]


@pytest.mark.parametrize("kind", [Kind.SHA256, Kind.SHA1, Kind.MD5])
def test_of_file_is_one_digest_of_full_quality(kind: Kind) -> None:
    """The hash of a file would be left out of the search as too flat."""
    digest = bytes(range(kind.width))
    assert rows(Signals.of_file(kind, digest)) == [(kind, digest, 100, 0, view_code(Part.FULL))]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"digests": np.zeros((3, 31), np.uint8)}, "PDQ digests are uint8"),
        ({"digests": np.zeros((3, 32), np.int8)}, "PDQ digests are int8"),
        ({"digests": np.zeros((3, 1, 32), np.uint8)}, "PDQ digests are uint8"),
        ({"digests": np.zeros(3, np.uint8)}, "PDQ digests are uint8"),
        ({"quality": np.zeros(2, np.uint8)}, "quality is uint8"),
        ({"quality": np.zeros(3, np.int64)}, "quality is int64"),
        ({"quality": np.array([0, 101, 0], np.uint8)}, "quality 101"),
        ({"pts_ms": np.zeros(4, np.int64)}, "pts_ms is int64"),
        ({"pts_ms": np.zeros(3, np.int32)}, "pts_ms is int32"),
        ({"pts_ms": np.array([0, 0, MAX_MS + 1])}, "100 days"),
        ({"pts_ms": np.array([-MAX_MS - 1, 0, 0])}, "100 days"),
        # The absolute value of the smallest integer is negative.
        ({"pts_ms": np.array([0, np.iinfo(np.int64).min, 0])}, "100 days"),
        ({"view": np.zeros(3, np.float32)}, "view is float32"),
        ({"view": np.zeros((3, 1), np.uint8)}, "view is uint8"),
        ({"view": np.zeros(3, np.uint8)}, "a view is not known"),
        ({"view": np.full(3, 255, np.uint8)}, "a view is not known"),
    ],
)
def test_columns_that_are_not_so_are_refused(columns: dict[str, Any], complaint: str) -> None:
    """What a broken worker or client sent would enter the index."""
    with pytest.raises(ValueError, match=complaint):
        sound(**columns)


def test_a_refusal_quotes_no_digest() -> None:
    """A hash of the blocklist would reach the log."""
    digests = np.full((3, 32), 0xAB, np.uint8)
    with pytest.raises(ValueError, match="quality") as caught:
        sound(digests=digests, quality=np.zeros(1, np.uint8))
    assert "ab" not in str(caught.value).replace("quality", "")
    assert "171" not in str(caught.value)


def test_more_hashes_than_any_media_has_are_refused() -> None:
    """One request could fill the memory of the server."""
    assert len(sound(MAX_SIGNALS)) == MAX_SIGNALS
    with pytest.raises(ValueError, match=f"at most {MAX_SIGNALS}"):
        sound(MAX_SIGNALS + 1)


@given(st.sampled_from(Kind), st.binary(max_size=70), *[st.binary(max_size=17)] * 3)
@settings(deadline=None)
def test_columns_of_any_length_are_signals_or_refused(
    kind: Kind, digests: bytes, quality: bytes, pts_ms: bytes, view: bytes
) -> None:
    """Bytes that do not fit together would end as an internal error instead of a refusal."""
    with contextlib.suppress(ValueError):
        made = Signals.from_columns(kind, digests, quality, pts_ms, view)
        assert made.columns() == (digests, quality, pts_ms, view)


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("turn", Turn)
def test_a_view_is_its_part_and_turn(part: Part, turn: Turn) -> None:
    """A reviewer would be told that a mirrored picture had matched as it is."""
    code = view_code(part, turn)
    assert (part_of(code), turn_of(code)) == (part, turn)
    assert VIEWS.count(code) == 1


def test_a_part_that_is_none_is_refused() -> None:
    """A view of a newer version would be shown as another one."""
    with pytest.raises(ValueError, match="Part"):
        part_of(0)
