"""`Signals`: the one type that leaves the worker, queries the index, fills an entry, is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.model.verdicts import Kind, Part, Turn
from hashmatch.model.views import part_of, turn_of, view_code

__all__ = ["MAX_SIGNALS", "EntrySignals", "Signals", "has_turn", "part_of", "turn_of", "view_code"]

# Most hashes of one kind that one media may have, in 36 bytes and less each. Of four hours, squares
# are most: an upload has up to 48 of a frame and two frames a second or more, an entry 192 of a
# frame each 0.7 seconds.
MAX_SIGNALS: Final = 4_000_000

# Times beyond this are nonsense: a hundred days, in ms.
_MAX_PTS_MS: Final = 100 * 24 * 3600 * 1000


def has_turn(views: npt.NDArray[np.uint8], turn: Turn) -> npt.NDArray[np.bool_]:
    """Which of these bytes say that the frame was turned so: bool ``[n]``."""
    turned: npt.NDArray[np.bool_] = (views & 7) == turn - 1
    return turned


_KNOWN_VIEWS = np.zeros(256, np.bool_)
_KNOWN_VIEWS[[view_code(part, turn) for part in Part for turn in Turn]] = True


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Hashes of one kind of one media, as columns; row k of each belongs to hash k.

    ``digests`` uint8 ``[n, kind.width]``; ``quality`` uint8 ``[n]``, 0 to 100; ``pts_ms`` int64
    ``[n]``, presentation time of the frame; ``view`` uint8 ``[n]``, see `view_code`.

    Raises ``ValueError`` if the columns are not so; never quotes a digest.
    """

    kind: Kind
    digests: npt.NDArray[np.uint8]
    quality: npt.NDArray[np.uint8]
    pts_ms: npt.NDArray[np.int64]
    view: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Checks shapes, dtypes and ranges."""
        n = len(self.digests)
        if n > MAX_SIGNALS:
            raise ValueError(f"{n} {self.kind.name} hashes, at most {MAX_SIGNALS} are allowed")
        if self.digests.shape != (n, self.kind.width) or self.digests.dtype != np.uint8:
            raise ValueError(
                f"{self.kind.name} digests are {self.digests.dtype} {self.digests.shape}, "
                f"uint8 ({n}, {self.kind.width}) is needed"
            )
        for name, dtype in (("quality", np.uint8), ("pts_ms", np.int64), ("view", np.uint8)):
            column = getattr(self, name)
            if column.shape != (n,) or column.dtype != dtype:
                raise ValueError(
                    f"{name} is {column.dtype} {column.shape}, {np.dtype(dtype)} ({n},) is needed"
                )
        if not n:
            return
        if int(self.quality.max()) > 100:
            raise ValueError(f"quality {int(self.quality.max())} is above 100")
        if int(self.pts_ms.min()) < -_MAX_PTS_MS or int(self.pts_ms.max()) > _MAX_PTS_MS:
            raise ValueError("a presentation time is more than 100 days from the start")
        if not _KNOWN_VIEWS[self.view].all():
            raise ValueError("a view is not known")

    def __len__(self) -> int:
        """Number of hashes."""
        return len(self.digests)

    @classmethod
    def of_file(cls, kind: Kind, digest: bytes) -> Signals:
        """The one exact hash of a file."""
        return cls.from_columns(kind, digest, b"\x64", bytes(8), bytes([view_code(Part.FULL)]))

    @classmethod
    def from_columns(
        cls, kind: Kind, digests: bytes, quality: bytes, pts_ms: bytes, view: bytes
    ) -> Signals:
        """From `columns`. Raises ``ValueError`` if the lengths do not fit together."""
        if len(digests) % kind.width or len(pts_ms) % 8:
            raise ValueError(
                f"{len(digests)} bytes of {kind.name} digests, a multiple of {kind.width} is needed"
            )
        return cls(
            kind,
            np.frombuffer(digests, np.uint8).reshape(-1, kind.width),
            np.frombuffer(quality, np.uint8),
            np.frombuffer(pts_ms, "<i8").astype(np.int64, copy=False),
            np.frombuffer(view, np.uint8),
        )

    def columns(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Digests, quality, pts_ms (little-endian int64) and view as bytes, to store or send."""
        return (
            self.digests.tobytes(),
            self.quality.tobytes(),
            self.pts_ms.astype("<i8", copy=False).tobytes(),
            self.view.tobytes(),
        )

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Signals:
        """Only the hashes at ``rows`` (a mask or indices)."""
        return Signals(
            self.kind, self.digests[rows], self.quality[rows], self.pts_ms[rows], self.view[rows]
        )

    @classmethod
    def concatenate(cls, parts: Iterable[Signals]) -> tuple[Signals, ...]:
        """Joins parts of any kinds into one `Signals` per kind, in the order of `Kind`."""
        by_kind: dict[Kind, list[Signals]] = {}
        for part in parts:
            by_kind.setdefault(part.kind, []).append(part)
        return tuple(cls._join(by_kind[kind]) for kind in sorted(by_kind))

    @classmethod
    def _join(cls, parts: Sequence[Signals]) -> Signals:
        if len(parts) == 1:
            return parts[0]
        return cls(
            parts[0].kind,
            np.concatenate([part.digests for part in parts]),
            np.concatenate([part.quality for part in parts]),
            np.concatenate([part.pts_ms for part in parts]),
            np.concatenate([part.view for part in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class EntrySignals:
    """Hashes of one kind of many entries, as columns; those of an entry lie side by side.

    ``digests``, ``quality`` and ``pts_ms`` as in `Signals`; ``entry`` and ``bank`` int64 ``[n]``
    are sequence numbers of the store.
    """

    kind: Kind
    digests: npt.NDArray[np.uint8]
    quality: npt.NDArray[np.uint8]
    pts_ms: npt.NDArray[np.int64]
    entry: npt.NDArray[np.int64]
    bank: npt.NDArray[np.int64]
