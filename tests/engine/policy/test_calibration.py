"""What clean media say of thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from hashmatch.engine.policy.calibration import Media, calibrate
from hashmatch.errors import InvalidField
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from tests.engine.index.test_live import some_signals
from tests.engine.policy.test_squares import Film


def frames(seed: int, count: int = 40, bits: int = 128) -> Signals:
    """Hashes of unrelated frames, as if of so many bits that are tossed: nearer than random."""
    rng = np.random.default_rng(seed)
    tossed = rng.integers(0, 2, (count, bits), np.uint8)
    spread = np.repeat(tossed, -(-256 // bits), axis=1)[:, :256]
    order = np.random.default_rng(0).permutation(256)  # The same for all.
    digests = np.packbits(spread[:, order], axis=1)
    some = some_signals(Kind.PDQ, count, seed)
    return Signals(Kind.PDQ, digests, np.full(count, 100, np.uint8), some.pts_ms, some.view)


def media(count: int, bits: int = 128) -> list[Media]:
    """Unrelated ones."""
    made = [frames(seed, bits=bits) for seed in range(count)]
    return [Media(f"{number}.mp4", [each], [each]) for number, each in enumerate(made)]


def test_pairs_are_counted_as_they_are() -> None:
    """A threshold would be proposed by what nobody measured."""
    some = media(6)
    told: list[int] = []
    found = calibrate(some, 40, lambda: told.append(1))
    assert len(told) == 6
    assert found.pairs == 6 * 5 * 40 * 40
    assert (found.media, found.hashes) == (6, 240)
    digests = np.concatenate([each.upload[0].digests for each in some])
    apart = np.bitwise_count(digests[:, None] ^ digests[None]).sum(axis=-1)
    owner = np.repeat(np.arange(6), 40)
    apart = apart[owner[:, None] != owner[None]]
    assert found.nearest == apart.min()
    for bits in (70, 80, 90, 100):
        assert found.within[bits] == (apart <= bits).sum()


def test_the_tail_is_what_more_media_would_show() -> None:
    """A million clean uploads would have more wrong matches than was said, or a threshold catch
    less than it might.
    """
    few, many = calibrate(media(8), 40), calibrate(media(50), 40)
    assert many.at_few < few.at_few
    for bits in range(many.at_few, few.at_few):
        counted = many.within[bits] / many.pairs
        told = few.wrong_per_million(bits, 1) / 1e6 / (few.hashes / few.media)
        assert 0.2 < told / counted < 5, bits


def test_thresholds_rise_with_what_is_allowed() -> None:
    """An operator who allows less would be given a wider threshold."""
    found = calibrate(media(12, bits=200), 40)
    wrong = [found.wrong_per_million(bits) for bits in range(64)]
    assert wrong == sorted(wrong)
    assert 0 < wrong[40] < 1e6
    assert 0 < wrong[10] < 1e-9
    proposed = [found.threshold(allowed) for allowed in (1e-6, 1e-3, 1.0, 1e3)]
    assert proposed == sorted(proposed)
    assert found.wrong_per_million(proposed[2]) < 1 <= found.wrong_per_million(proposed[2] + 1)
    assert found.threshold(1.0, 1000) > found.threshold(1.0)
    assert found.threshold(1e-300) == 0


def test_what_shows_the_same_is_left_out() -> None:
    """Two versions of one film would look like two films that are near."""
    one, other = media(8), media(8)
    other[3] = Media("a copy.mp4", [other[2].upload[0].select(np.arange(5))], other[2].entry)
    found = calibrate(other, 40)
    assert found.alike == (("2.mp4", "a copy.mp4"),)
    assert found.pairs < calibrate(one, 40).pairs
    assert found.nearest > 31


def test_squares_that_agree_are_told() -> None:
    """An operator would not learn which of his clean media would block each other."""
    some = media(6)
    film, shown = Film(1), Film(2)
    copies = [
        Media("film.mp4", [*some[0].upload, film.upload(8)], [*some[0].entry, film.entry()]),
        Media("copy.mp4", [*some[1].upload, film.upload(8)], [*some[1].entry, film.entry()]),
    ]
    few = np.flatnonzero(np.arange(40) % 10 < 2)
    room = shown.upload(bits=40).select(few)
    places = [
        Media("room.mp4", some[2].upload, [*some[2].entry, shown.entry()]),
        Media("same room.mp4", [*some[3].upload, room], some[3].entry),
    ]
    found = calibrate([*copies, *places, *some[4:]], 40)
    assert set(found.blocked) == {("film.mp4", "copy.mp4"), ("copy.mp4", "film.mp4")}
    assert found.held == (("same room.mp4", "room.mp4"),)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_are_refused(count: int) -> None:
    """A threshold would be made of nothing."""
    with pytest.raises(InvalidField, match="add clean media"):
        calibrate(media(count), 40)


def test_flat_media_that_hold_each_other_are_told() -> None:
    """An operator whose cards are all of one layout would find out when they are held."""
    card = frames(100, 1)
    flat = Signals(Kind.PDQ, card.digests, np.array([30], np.uint8), card.pts_ms, card.view)
    some = [*media(8), Media("card.png", [flat], [flat]), Media("again.png", [flat], [flat])]
    assert calibrate(some, 40).flat == (("card.png", "again.png"), ("again.png", "card.png"))
    assert calibrate(media(8), 40).flat == ()
