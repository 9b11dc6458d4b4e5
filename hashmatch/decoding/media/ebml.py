"""What the elements of a Matroska or WebM file say of its pictures, beside FFmpeg's reading.

Source of all numbers: RFC 9559.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media.announced import Announced, Crop, VideoTrack
from hashmatch.decoding.media.source import JoinedSource, PartSource, PatchedSource, Source

__all__ = ["check_index", "header", "in_order", "rest"]

_EBML, _SEGMENT, _CLUSTER, _TRACKS = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B
_ATTACHMENTS, _ATTACHED, _FILE_DATA, _MEDIA_TYPE = 0x1941A469, 0x61A7, 0x465C, 0x4660
_TRACK, _NUMBER, _TYPE, _VIDEO = 0xAE, 0xD7, 0x83, 0xE0
_CROP_TOP, _CROP_BOTTOM, _CROP_LEFT, _CROP_RIGHT = 0x54BB, 0x54AA, 0x54CC, 0x54DD
_ENCODINGS, _ENCODING, _ENCRYPTION = 0x6D80, 0x6240, 0x5035
_SEEK_HEAD, _SEEK, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AC
# Elements that are read wherever an index finds them, by what is there and not by what it says.
_HIDDEN: Final = frozenset({_TRACKS, _ATTACHMENTS, _SEEK_HEAD})
_TYPE_VIDEO, _TYPE_SUBTITLES = 1, 0x11
_CODEC = 0x86
_TEXT: Final = b"S_TEXT/"  # Text in UTF-8, whatever follows. Source: Matroska codec mappings, 5.

# Elements of the first level that follow each other; what is longer is looked at no further.
_MAX_ELEMENTS: Final = 2_000_000
_MAX_TRACKS_BYTES: Final = 1 << 24
_MAX_PICTURES: Final = 16
_MAX_ATTACHMENT_BYTES: Final = 1 << 26


def header(source: Source) -> Announced:
    """What the tracks announce; waits for what lies before the first frames and no more."""
    announced = Announced()
    for number, content, end in _top(source):
        if number == _CLUSTER:
            break
        if number == _TRACKS:
            announced.subtitles_are_text = True
            _tracks(source, content, end, announced)
            break
    return announced


def rest(source: Source, announced: Announced) -> None:
    """Holds all that follows against the header; waits for the end of the source."""
    first: bytes | None = None
    segments = 0
    opened = False  # True once frames have begun: the demuxer looks at no more attachments.
    for number, content, end in _top(source):
        if number == _SEGMENT:
            segments += 1
            if segments > 1:
                announced.name("a second segment behind the first")
                return
        elif number == _CLUSTER:
            opened = True
        elif number == _TRACKS:
            tracks = source.read_at(content, min(end - content, _MAX_TRACKS_BYTES))
            if opened and first is None:
                announced.name("tracks that are told of behind their frames")
            elif first is not None and tracks != first:
                announced.name("tracks that are told of a second time, and otherwise")
            first = first if first is not None else tracks
        elif number == _ATTACHMENTS and opened:
            _attachments(source, content, end, announced)


def check_index(source: Source, announced: Announced) -> None:
    """Holds the index of elements against where they are: demuxers that can seek look where it
    says, whatever is around that place. ``source`` is the file as it came; waits for its end.
    """
    sought: set[int] = set()
    starts: set[int] = set()
    segment = 0
    for number, start, content, end in _elements(source):
        if number == _SEGMENT:
            segment = content
        elif number == _SEEK_HEAD:
            sought |= set(_sought(source, content, end, segment))
        if number != _CLUSTER:
            starts.add(start)
    for place in sought - starts:
        if _number(source.read_at(place, 4))[0] in _HIDDEN:
            announced.name("tracks or attachments within another element")


def _sought(source: Source, content: int, end: int, segment: int) -> Iterator[int]:
    """The places that an index of elements lists."""
    if end - content > _MAX_TRACKS_BYTES:
        return
    for number, entry in _children(source.read_at(content, end - content)):
        fields = dict(_children(entry)) if number == _SEEK else {}
        if _SEEK_POSITION in fields:
            yield segment + int.from_bytes(fields[_SEEK_POSITION], "big")


def in_order(source: Source) -> Source:
    """The file with its tracks before its frames, as demuxers that cannot seek need them. Waits for
    the end of the source only where they are not.
    """
    segment: tuple[int, int] | None = None
    frames_at: int | None = None
    for number, start, content, end in _elements(source):
        if number == _SEGMENT:
            segment = start, content
        elif number == _CLUSTER and frames_at is None:
            frames_at = start
        elif number == _TRACKS:
            if frames_at is None or segment is None or end > source.total():
                break
            at, before = segment[0] + 4, segment[1]
            unknown = (1 << 8 * (before - at)) - 1 >> (before - at - 1)
            # The segment is longer by then: it ends where the file does.
            return JoinedSource(
                PatchedSource(
                    PartSource(source, 0, frames_at), {at: unknown.to_bytes(before - at, "big")}
                ),
                PartSource(source, start, end),
                PartSource(source, frames_at),
            )
    return source


def _top(source: Source) -> Iterator[tuple[int, int, int]]:
    """Number, start of the content and end of each of `_elements`."""
    for number, _, content, end in _elements(source):
        yield number, content, end


def _elements(source: Source) -> Iterator[tuple[int, int, int, int]]:
    """Number, start, start of the content and end of each element of the file and of its segments.
    Ends where there is no sound one.
    """
    at = 0
    for _ in range(_MAX_ELEMENTS):
        head = source.read_at(at, 12)
        number, width = _number(head)
        size, size_width = _size(head[width:])
        if not width or not size_width:
            return
        content = at + width + size_width
        if number == _SEGMENT or (size is None and number == _CLUSTER):
            yield number, at, content, content
            at = content  # What is inside comes next.
        elif size is None:
            return
        else:
            yield number, at, content, content + size
            at = content + size


def _number(head: bytes) -> tuple[int, int]:
    """(number of an element, bytes that it takes); no bytes if there is none."""
    if not head or not head[0]:
        return 0, 0
    width = 9 - head[0].bit_length()
    if width > 4 or len(head) < width:
        return 0, 0
    return int.from_bytes(head[:width], "big"), width


def _size(head: bytes) -> tuple[int | None, int]:
    """(length, bytes that it takes); a length of None is not known."""
    if not head or not head[0]:
        return None, 0
    width = 9 - head[0].bit_length()
    if len(head) < width:
        return None, 0
    mask = (1 << 7 * width) - 1
    size = int.from_bytes(head[:width], "big") & mask
    return (None if size == mask else size), width


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each element in a row."""
    at = 0
    while at < len(data):
        number, width = _number(data[at : at + 4])
        size, size_width = _size(data[at + width : at + width + 8])
        if not width or not size_width or size is None:
            return
        content = at + width + size_width
        yield number, data[content : content + size]
        at = content + size


def _tracks(source: Source, content: int, end: int, announced: Announced) -> None:
    if end - content > _MAX_TRACKS_BYTES:
        announced.name("a header that is too large to be read")
        return
    for number, entry in _children(source.read_at(content, end - content)):
        if number != _TRACK:
            continue
        fields = dict(_children(entry))
        kind = int.from_bytes(fields.get(_TYPE, b""), "big")
        if kind == _TYPE_SUBTITLES and not fields.get(_CODEC, b"").startswith(_TEXT):
            announced.subtitles_are_text = False
        if kind != _TYPE_VIDEO:
            continue
        track = VideoTrack(int.from_bytes(fields.get(_NUMBER, b""), "big"))
        video = dict(_children(fields.get(_VIDEO, b"")))
        crop = Crop(
            *(
                int.from_bytes(video.get(each, b""), "big")
                for each in (_CROP_TOP, _CROP_BOTTOM, _CROP_LEFT, _CROP_RIGHT)
            )
        )
        if any(crop):
            track.crops.append(crop)
        track.encrypted = any(
            kind == _ENCRYPTION
            for number, encoding in _children(fields.get(_ENCODINGS, b""))
            if number == _ENCODING
            for kind, _ in _children(encoding)
        )
        announced.tracks.append(track)


def _attachments(source: Source, content: int, end: int, announced: Announced) -> None:
    if end - content > _MAX_ATTACHMENT_BYTES:
        announced.name("attachments that are too large to be read")
        return
    for number, attached in _children(source.read_at(content, end - content)):
        fields = dict(_children(attached)) if number == _ATTACHED else {}
        if fields.get(_MEDIA_TYPE, b"").startswith(b"image/"):
            if len(announced.pictures) == _MAX_PICTURES:
                announced.name(f"more than {_MAX_PICTURES} attached pictures")
                return
            announced.pictures.append(fields.get(_FILE_DATA, b""))
