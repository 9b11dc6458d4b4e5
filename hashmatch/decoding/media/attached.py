"""Pictures attached to a video, as players show them while nothing plays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import av

from hashmatch.decoding.media import image
from hashmatch.decoding.media.formats import Family, Format, readings
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.errors import MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import VerdictReason

__all__ = ["AttachedPicture", "embedded"]


class AttachedPicture:
    """A stream of one packet, which is an image as a whole and screened as one."""

    def __init__(self, stream: int, limits: DecodeLimits, tally: Tally) -> None:
        """``stream`` is its number."""
        self._stream, self._limits, self._tally = stream, limits, tally

    def feed(self, packet: av.Packet[Any]) -> Iterator[FrameBatch]:
        """Yields the picture's frames."""
        if not packet.size:
            return
        source = BytesSource(bytes(packet))
        formats = list(readings(source))
        if not formats or any(each.family is not Family.IMAGE for each in formats):
            self._add_reason(VerdictReason.UNSUPPORTED, "of no known format")
        for each in formats:
            if each.family is Family.IMAGE:
                yield from self._frames(source, each)

    def _frames(self, source: BytesSource, picture_format: Format) -> Iterator[FrameBatch]:
        tally = Tally()
        try:
            yield from image.frames(
                source, picture_format, self._limits, tally, stream=self._stream
            )
        except MediaError as error:
            self._add_reason(error.code, error.detail)
        for reason in tally.reasons:
            self._add_reason(reason.code, reason.detail)
        self._tally.frames_decoded += tally.frames_decoded
        self._tally.frames_failed += tally.frames_failed

    def passes_over(self, name: str) -> bool:  # noqa: ARG002
        """False: all that FFmpeg's log says of it matters."""
        return False

    def finish(self) -> Iterator[FrameBatch]:
        """Nothing is left."""
        yield from ()

    def salvage(self) -> Iterator[FrameBatch]:
        """Nothing is left."""
        yield from ()

    def _add_reason(self, code: VerdictReason, detail: str) -> None:
        self._tally.add_reason(code, f"an attached picture: {detail}")


def embedded(data: bytes, stream: int, limits: DecodeLimits, tally: Tally) -> Iterator[FrameBatch]:
    """Yields the frames of a picture that lies among other bytes, as file managers show it. What
    only looks like the start of a picture is none.
    """
    source = BytesSource(data)
    for each in readings(source):
        if each.family is Family.IMAGE:
            own = Tally()
            with contextlib.suppress(MediaError):
                yield from image.frames(source, each, limits, own, stream=stream)
            tally.frames_decoded += own.frames_decoded
