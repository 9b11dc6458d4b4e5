"""What the structure of a video file announces about its pictures, apart from their bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

__all__ = ["Announced", "Crop", "VideoTrack"]


# Frames that an edit list leaves out at the start, as encoders need them, are fewer.
_MUCH_MS: Final = 1000
_MUCH: Final = 0.1


class Crop(NamedTuple):
    """Pixels that are cut off each edge of a decoded frame before it is shown."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(slots=True)
class VideoTrack:
    """A track of pictures, by what the container says of it.

    ``number`` is the container's. ``samples`` is how many frames the header lists, None where it
    does not say; ``shown`` is how many the demuxer gave to be shown, and
    ``frame_ms`` how long each is. ``places`` are where those lie in the file, as one that is shown
    twice makes up for none that is not; ``hidden_ms`` is how long those last that it left out.
    """

    number: int
    crops: list[Crop] = field(default_factory=list)
    encrypted: bool = False
    samples: int | None = None
    shown: int | None = None
    frame_ms: float = 0.0
    places: set[int] = field(default_factory=set)
    hidden_ms: float = 0.0

    @property
    def may_hide(self) -> bool:
        """True if a frame may be left out: how long those last has to be found out."""
        return self.samples is not None and len(self.places) < self.samples

    @property
    def hides_much(self) -> bool:
        """True if an edit list leaves out a second, or a tenth of the track: programs that do not
        follow it show those frames.
        """
        if self.hidden_ms >= _MUCH_MS:
            return True
        if self.samples is None or self.shown is None:
            return False
        hidden = self.samples - self.shown
        return hidden * self.frame_ms >= _MUCH_MS or hidden > _MUCH * self.samples


@dataclass(slots=True)
class Announced:
    """All of a file.

    ``tracks`` are in the order of the file. ``unseen`` says in phrases what no decoder here looks
    at. ``pictures`` are images that are embedded beside the tracks, each as a file of its own.
    ``uneven`` is true if parts of the film are shown slower, faster or longer than they last.
    ``repeats`` says of a stream how many frames that the header counts repeat the one before them
    and never leave the demuxer; it waits for the end of the file. ``subtitles_are_text`` is true if
    the container says so of all of them.
    """

    tracks: list[VideoTrack] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    uneven: bool = False
    subtitles_are_text: bool = False
    repeats: Callable[[int], int] = lambda _: 0

    @property
    def crops(self) -> tuple[Crop, ...]:
        """Of all tracks, each once: so no doubt about which track is which matters."""
        return tuple({crop: None for track in self.tracks for crop in track.crops})

    def name(self, unseen: str) -> None:
        """Adds what is not looked at, each once."""
        if unseen not in self.unseen:
            self.unseen.append(unseen)
