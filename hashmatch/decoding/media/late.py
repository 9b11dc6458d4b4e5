"""Streams that begin when a file is already open, long after its first bytes."""

from __future__ import annotations

import re
from typing import Final

import av
import av.container
import av.logging

from hashmatch.decoding.media.tally import Tally
from hashmatch.model.verdicts import VerdictReason

__all__ = ["LateStream", "check_late", "shown_streams"]

# A demuxer holds back all that it reads before it has found a stream: this much at most.
_MOST_BYTES: Final = 64 << 20

# How FFmpeg lists a stream: "  Stream #0:1[0x1c0]: Audio: mp2, ...". What stands between may be the
# file's own words, so whatever names a type of which something is shown counts as one.
_LISTED: Final = re.compile(r"^ +Stream #\d+:(\d+)(.*)", re.MULTILINE)
_SHOWN: Final = re.compile(r": (Video|Subtitle|Attachment|Unknown)")
# Of a stream that was there, but of which FFmpeg did not know yet what it is.
_BECAME: Final = re.compile(r": (Video|Subtitle)")
_TYPES: Final = frozenset({"video", "subtitle", "attachment"})


class LateStream(Exception):
    """A stream of pictures begins that was not there when the file was opened.

    ``probe_bytes``: read so many before any frame is decoded. Never leaves floor 2.
    """

    def __init__(self, probe_bytes: int) -> None:
        """See the class."""
        super().__init__()
        self.probe_bytes = probe_bytes


def shown_streams(container: av.container.InputContainer) -> frozenset[int]:
    """Numbers of the streams of which something is shown, as far as FFmpeg knows by now."""
    return frozenset(each.index for each in container.streams if each.type in _TYPES)


def check_late(
    container: av.container.InputContainer, shown: frozenset[int], probed: int, tally: Tally
) -> None:
    """Looks for streams that have begun since the file was opened, when all of it was read: PyAV
    leaves out their packets. Raises `LateStream` for the first; where ``probed`` bytes were read
    for it already, the tally names it. Sound is none: no picture depends on it. ``shown``: the
    `shown_streams` of when it was opened; what a stream is may turn out later.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        listed = container.dumps_format()  # type: ignore[attr-defined]  # Its stub lacks it.
    finally:
        av.logging.set_level(level)
    known = len(container.streams)
    if not any(
        _SHOWN.search(said)
        if int(number) >= known
        else int(number) not in shown and _BECAME.search(said)
        for number, said in _LISTED.findall(listed)
    ):
        return
    if not probed:
        raise LateStream(_MOST_BYTES)
    tally.add_reason(VerdictReason.UNSEEN_MEDIA, "a stream begins long after the first bytes")
