"""FLV files that were put together."""

from __future__ import annotations

from hashmatch.decoding.media import flv
from hashmatch.decoding.media.source import BytesSource
from tests import films

FIRST = films.film([films.textured(1, 128, 96)] * 5, "flv", "flv")
SECOND = films.film([films.textured(2, 128, 96)] * 5, "flv", "flv")


def test_each_film_of_a_file_is_screened() -> None:
    """Demuxers stop at the second header; players that look on show what is behind."""
    digests, done = films.looked_at(FIRST + SECOND)
    assert films.reasons(done) == []
    for seed in (1, 2):
        assert films.nearest(digests, films.textured(seed, 128, 96)) <= 31


def test_a_film_ends_where_the_next_begins_however_it_is_read() -> None:
    """Parts of the second would be taken for tags of the first."""
    data = FIRST + SECOND
    for size in (1, 7, 1000, len(data)):
        source = flv.FirstFilm(BytesSource(data))
        read = b""
        while piece := source.read_at(len(read), size, whole=False):
            read += piece
        assert read == FIRST
        assert source.total() == len(FIRST)
    assert list(flv.films_behind(BytesSource(data + SECOND))) == [len(FIRST), len(data)]
    assert list(flv.films_behind(BytesSource(FIRST))) == []
