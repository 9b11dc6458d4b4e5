"""Where decoders read from: the bytes of the file, at the place that was asked for."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashmatch.decoding.media.source import FileSource, SeekableReader, StreamReader

CONTENT = bytes(range(256)) * 3


@pytest.fixture(scope="module")
def source() -> Iterator[FileSource]:
    """A file of 768 bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        yield FileSource(file)


reads = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 900), st.just(0)),
        st.tuples(st.just("seek"), st.integers(-900, 900), st.sampled_from([0, 1, 2])),
    ),
    max_size=12,
)
quickly = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@given(offset=st.integers(0, 900), size=st.integers(0, 900), whole=st.booleans())
@quickly
def test_any_stretch_is_that_of_the_file(
    source: FileSource, offset: int, size: int, whole: bool
) -> None:
    """The format would be told by other bytes than those that are decoded."""
    assert source.read_at(offset, size, whole=whole) == CONTENT[offset : offset + size]
    assert source.total() == len(CONTENT)


@given(steps=reads)
@quickly
def test_a_seekable_reader_is_like_a_file(
    source: FileSource, steps: list[tuple[str, int, int]]
) -> None:
    """A demuxer that jumps to the index at the end would read other bytes."""
    reader, file = SeekableReader(source), io.BytesIO(CONTENT)
    for step, number, whence in steps:
        if step == "read":
            assert reader.read(number) == file.read(number)
            continue
        place = number + {0: 0, 1: reader.tell(), 2: len(CONTENT)}[whence]
        if place < 0:
            before = reader.tell()
            with pytest.raises(ValueError, match="before the start"):
                reader.seek(number, whence)
            assert reader.tell() == before
        else:
            assert reader.seek(number, whence) == file.seek(place) == reader.tell()
    assert reader.readable()
    assert reader.seekable()


@given(sizes=st.lists(st.integers(1, 400), max_size=12))
@quickly
def test_a_stream_reader_gives_each_byte_once(source: FileSource, sizes: list[int]) -> None:
    """Bytes would be skipped or decoded twice."""
    reader, file = StreamReader(source), io.BytesIO(CONTENT)
    assert [reader.read(size) for size in sizes] == [file.read(size) for size in sizes]


def test_a_stream_reader_cannot_seek(source: FileSource) -> None:
    """A demuxer would wait for the end of the upload before it decodes the first frame."""
    assert not hasattr(StreamReader(source), "seek")
    assert not hasattr(StreamReader(source), "tell")


def test_a_stream_reader_takes_what_is_there() -> None:
    """A slow upload would be decoded in steps as large as a demuxer happens to ask for."""

    class Trickling:
        """Has one more byte each time it is asked."""

        def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:
            assert not whole
            return CONTENT[offset : offset + min(size, 1)]

        def total(self) -> int:
            return len(CONTENT)

    reader = StreamReader(Trickling())
    assert [reader.read(100) for _ in range(3)] == [b"\0", b"\1", b"\2"]


def test_a_buffer_is_filled_as_far_as_there_is_something(source: FileSource) -> None:
    """What a decoder had in its buffer before would be taken for the end of the file."""
    reader = SeekableReader(source)
    reader.seek(-3, io.SEEK_END)
    buffer = bytearray(b"........")
    assert reader.readinto(memoryview(buffer)) == 3
    assert buffer == CONTENT[-3:] + b"....."
    assert reader.readinto(memoryview(buffer)) == 0
