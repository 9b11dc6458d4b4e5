"""Squares of an upload that lie as those of an entry do, and those that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.engine.index.live import Matches, Snapshot
from hashmatch.engine.index.segment import Rows
from hashmatch.engine.policy import Agreement, agreements, squares
from hashmatch.model.records import BankPolicy
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, BankMode, Kind
from tests.engine.index.test_live import bank

ENTRY, BANK = 1, 1
Bytes = npt.NDArray[np.uint8]


def places(
    column: npt.ArrayLike, row: npt.ArrayLike, size: npt.ArrayLike, turn: npt.ArrayLike = 64
) -> Bytes:
    """As `engine.hashing.patches` writes them."""
    columns = np.broadcast_arrays(
        255 * np.asarray(column), 255 * np.asarray(row), 32 * np.log2(64 * np.asarray(size)), turn
    )
    made: Bytes = np.clip(np.rint(np.stack(columns, axis=1)), 0, 255).astype(np.uint8)
    return made


def signals(hashes: Bytes, where: Bytes, pts_ms: npt.ArrayLike) -> Signals:
    """Squares that are rich enough."""
    count = len(hashes)
    times = np.broadcast_to(np.asarray(pts_ms, np.int64), count).copy()
    view = np.full(count, 8, np.uint8)
    return Signals(
        Kind.PDQ_PATCH, np.hstack([hashes, where]), np.full(count, 100, np.uint8), times, view
    )


def changed(hashes: Bytes, bits: int, rng: np.random.Generator) -> Bytes:
    """Other hashes, so many bits from these."""
    made = np.unpackbits(hashes, axis=1)
    for row in made:
        row[rng.choice(256, bits, replace=False)] ^= 1
    return np.packbits(made, axis=1)


class Film:
    """Frames a second apart, of ten squares each, at random places."""

    def __init__(self, seed: int = 0, frames: int = 4, count: int = 10) -> None:
        self.rng = np.random.default_rng(seed)
        total = frames * count
        self.hashes = self.rng.integers(0, 256, (total, 32), np.uint8)
        self.column, self.row = self.rng.uniform(0.15, 0.85, (2, total))
        self.size = self.rng.uniform(0.05, 0.3, total)
        self.pts_ms = np.repeat(np.arange(frames) * 1000, count)

    def entry(self, turn: int = 64) -> Signals:
        """As it is, all squares turned alike."""
        where = places(self.column, self.row, self.size, turn)
        return signals(self.hashes, where, self.pts_ms)

    def upload(
        self, bits: int = 10, zoom: float = 1.0, right: float = 0.0, down: float = 0.0
    ) -> Signals:
        """A copy: smaller, moved, and somewhat changed; six seconds later."""
        where = places(zoom * self.column + right, zoom * self.row + down, zoom * self.size)
        return signals(changed(self.hashes, bits, self.rng), where, self.pts_ms + 6000)


def agree(upload: Signals, entry: Signals, threshold: int = 40) -> Agreement | None:
    """As they are weighed after a search."""
    snapshot = Snapshot().with_bank(1, BANK, bank({Kind.PDQ_PATCH: threshold}))
    snapshot = snapshot.with_entry(2, ENTRY, BANK, [entry])
    found = agreements([snapshot.search(upload)], [upload], snapshot)
    return found.get(ENTRY)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.35, 1.0), st.floats(0, 0.14), st.floats(0, 0.14), st.integers(0, 9))
def test_a_copy_agrees_however_it_is_moved(
    zoom: float, right: float, down: float, seed: int
) -> None:
    """A film in the corner of another one would pass."""
    film = Film(seed)
    found = agree(film.upload(10, zoom, right, down), film.entry())
    assert found is not None
    assert found.same
    assert found.score >= squares.SURE_SCORE
    assert found.places == 12
    assert (found.media_pts_ms - found.entry_pts_ms == 6000).mean() > 0.9
    assert not found.mirrored


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=40)
def test_near_squares_at_other_places_do_not_agree(seed: int) -> None:
    """Whoever shows the same things otherwise arranged would be accused."""
    film = Film(seed, frames=1, count=6)
    entry, copy = film.entry(), film.upload(20)
    # Each somewhere else, and of another size.
    rng = np.random.default_rng(seed)
    elsewhere = places(rng.uniform(0, 1, 6), rng.uniform(0, 1, 6), 0.02 * 1.6 ** np.arange(6))
    digests = np.hstack([copy.digests[:, :32], elsewhere])
    found = agree(replace(copy, digests=digests), entry)
    assert found is None or found.places <= 3


def test_others_do_not_agree() -> None:
    """Clean uploads would be accused."""
    assert agree(Film(1).upload(), Film(2).entry()) is None


@pytest.mark.parametrize("tilt", [0, 4, -4, 20])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_copy_agrees_as_it_was_turned(tilt: int, mirrored: bool) -> None:
    """A tilted copy would be told from no copy by nothing."""
    film = Film(3)
    entry = film.entry(64 + tilt + 128 * mirrored)
    right, down = film.column - 0.5, film.row - 0.5
    turn = np.deg2rad(-tilt if mirrored else tilt)
    column = 0.5 + np.cos(turn) * right + np.sin(turn) * down
    row = 0.5 + np.cos(turn) * down - np.sin(turn) * right
    copy = signals(changed(film.hashes, 12, film.rng), places(column, row, film.size), film.pts_ms)
    found = agree(copy, entry)
    assert found is not None
    assert (found.mirrored, found.tilt, found.same) == (mirrored, tilt, True)
    assert len(found.distance) >= 0.9 * len(film.hashes)


def test_what_is_only_alike_is_not_the_same() -> None:
    """Two films of one room would be taken for one film."""
    film = Film(4)
    far = agree(film.upload(bits=40), film.entry())
    assert far is not None
    assert far.score >= squares.SURE_SCORE
    few = np.flatnonzero(np.arange(40) % 10 < 2)  # Two of each frame.
    alike = agree(film.upload(bits=40).select(few), film.entry())
    assert alike is not None
    assert not alike.same
    near = agree(film.upload(bits=16).select(few), film.entry())
    assert near is not None
    assert near.same


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(0.05, 0.05, None), (0.7, 0.02, False), (0.7, 0.5, True)],
    ids=["watermark", "banner", "picture"],
)
def test_what_many_films_bear_does_not_block(
    width: float, height: float, expected: bool | None
) -> None:
    """Every upload with the mark of the application it was made with would be blocked."""
    film = Film(10)
    film.column = 0.2 + width * (film.column - 0.15)
    film.row = 0.2 + height * (film.row - 0.15)
    film.size = np.full(40, 0.05)
    found = agree(film.upload(bits=4), film.entry())
    assert (found and found.same) is expected


def test_a_mark_does_not_hide_how_the_picture_lies() -> None:
    """Whoever cuts a film that bears a mark, and puts the mark back, could publish it."""
    mark = Film(13, frames=1, count=8)
    mark.column, mark.row = 0.1 + 0.1 * mark.column, 0.1 + 0.1 * mark.row
    mark.size = np.full(8, 0.04)
    film = Film(14, frames=1)
    marks = [
        replace(mark.entry(), pts_ms=np.full(8, number * 100, np.int64)) for number in range(30)
    ]
    (entry,) = Signals.concatenate([*marks, film.entry()])
    (upload,) = Signals.concatenate([*marks, film.upload(20, zoom=0.6, right=0.35, down=0.3)])
    found = agree(upload, entry)
    assert found is not None
    assert found.same
    assert found.places >= 9
    assert found.distance.min() >= 20 - 6  # By the film, not by the mark.


def test_of_many_entries_those_with_squares_of_their_own_are_weighed() -> None:
    """An upload with a mark that a thousand entries bear would hide which of them it shows."""
    mark = Film(11, frames=1, count=4)
    snapshot = Snapshot().with_bank(1, BANK, bank({Kind.PDQ_PATCH: 40}))
    film = Film(12)
    for seq in range(1, 301):
        # Each has the mark, the last has more.
        own = [mark.entry(), film.entry()] if seq == 300 else [mark.entry()]
        (entry,) = Signals.concatenate(own)
        snapshot = snapshot.with_entry(seq + 1, seq, BANK, [entry])
    (upload,) = Signals.concatenate([mark.upload(bits=0), film.upload(bits=24)])
    found = agreements([snapshot.search(upload)], [upload], snapshot)
    assert found[300].same
    assert len(found) <= 100


def test_of_many_versions_some_are_enough() -> None:
    """An upload of a film that is listed a hundred times would wait for seconds."""
    film = Film(15)
    block = bank({Kind.PDQ_PATCH: 40})
    review = replace(block, action=Action.REVIEW)
    snapshot = Snapshot().with_bank(1, 1, review).with_bank(1, 2, block)
    for seq in range(1, 61):
        snapshot = snapshot.with_entry(seq + 1, seq, 1 if seq <= 30 else 2, [film.entry()])
    upload = film.upload()
    found = agreements([snapshot.search(upload)], [upload], snapshot)
    assert sum(seq > 30 for seq in found) == 10
    assert all(each.same for each in found.values())


def test_what_stands_still_counts_once() -> None:
    """A picture on a wall would be counted in each frame that shows it, and block."""
    film = Film(5, frames=1, count=1)
    entry = film.entry()
    still = [film.upload(bits=30) for _ in range(30)]
    columns = [
        replace(each, pts_ms=each.pts_ms + 500 * number) for number, each in enumerate(still)
    ]
    (upload,) = Signals.concatenate(columns)
    assert agree(upload, entry) is None


def test_one_place_that_is_near_all_is_none() -> None:
    """A tiled wall has the same square a hundred times."""
    film = Film(6, frames=1, count=1)
    one = film.upload(bits=8)
    tiles = signals(
        np.repeat(film.hashes, 50, axis=0),
        places(np.linspace(0.1, 0.9, 50), 0.5, 0.1),
        np.zeros(50, np.int64),
    )
    assert agree(one, tiles) is None


def test_long_media_are_compared_around_what_is_near() -> None:
    """An upload of hours would take minutes to weigh."""
    film = Film(7, frames=600)
    media = film.upload(bits=60)  # Nothing near,
    digests = media.digests.copy()
    digests[3000:3030] = film.upload(bits=8).digests[3000:3030]  # but three seconds of it.
    found = agree(replace(media, digests=digests), film.entry())
    assert found is not None
    assert found.same
    assert abs(found.media_pts_ms - 6000 - 301_000).max() <= 7000


def test_whole_frames_say_enough() -> None:
    """Time would be spent on what is decided."""
    film = Film(8)
    snapshot = Snapshot().with_bank(1, BANK, bank({Kind.PDQ_PATCH: 40, Kind.PDQ: 31}))
    snapshot = snapshot.with_entry(2, ENTRY, BANK, [film.entry()])
    upload = film.upload()
    near = snapshot.search(upload)
    one = np.zeros(1, np.int64)
    entry = np.full(1, ENTRY, np.int64)
    whole = Matches(Kind.PDQ, one, np.full(1, 8, np.uint8), entry, entry, one, one, one)
    assert set(agreements([near], [upload], snapshot)) == {ENTRY}
    assert agreements([near, whole], [upload], snapshot) == {}
    assert agreements([whole], [upload], snapshot) == {}


def test_withdrawn_rows_are_not_there() -> None:
    """What was withdrawn would still be weighed."""
    film = Film(9)
    snapshot = Snapshot().with_bank(1, BANK, bank({Kind.PDQ_PATCH: 40}))
    snapshot = snapshot.with_entry(2, ENTRY, BANK, [film.entry()]).without_entry(3, ENTRY, BANK)
    upload = film.upload()
    assert agreements([snapshot.search(upload)], [upload], snapshot) == {}


def test_rows_of_an_entry_are_all_its_own() -> None:
    """An entry would be weighed by the squares of another."""
    snapshot = Snapshot().with_bank(1, BANK, bank({Kind.PDQ_PATCH: 40}))
    films = {seq: Film(seq) for seq in (1, 2, 3)}
    for seq, film in films.items():
        snapshot = snapshot.with_entry(seq + 1, seq, BANK, [film.entry()])
    for seq, film in films.items():
        rows: Rows = snapshot.tables[Kind.PDQ_PATCH].rows_of(seq)
        assert set(rows.entry.tolist()) == {seq}
        assert np.array_equal(rows.digests, film.entry().digests)


def test_what_is_tried_takes_no_place_of_what_is_in_force() -> None:
    """A list in shadow would keep crops of what is listed from being found."""
    film = Film(10)
    shadow = replace(bank({Kind.PDQ_PATCH: 40}), policy=BankPolicy(mode=BankMode.SHADOW))
    snapshot = Snapshot().with_bank(1, 2, shadow)
    snapshot = snapshot.with_bank(1, BANK, bank({Kind.PDQ_PATCH: 40}))
    for seq in range(1, 111):
        snapshot = snapshot.with_entry(1, seq, 2, [film.entry()])
    snapshot = snapshot.with_entry(1, 500, BANK, [film.entry()])
    upload = film.upload()
    found = agreements([snapshot.search(upload)], [upload], snapshot)
    assert 500 in found
    assert len(found) == 101
