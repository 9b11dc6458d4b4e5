"""Repeats a screening with the seed that is stored with it, and tells whether it saw the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from hashmatch.decoding.intake import Intake, Looks
from hashmatch.engine.hashing.exact import ExactHasher
from hashmatch.model.records import Coverage
from hashmatch.model.signals import Signals
from hashmatch.store.screenings import Stored

__all__ = ["Repeat", "problem", "repeat"]

_READ_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Repeat:
    """What came of a repetition.

    ``problem`` says why there was none; it is empty if there was, and only then the rest means
    something: whether frames of the same times were hashed and as many decoded, whether their
    hashes are the same, whether the same versions looked, and what was covered now.
    """

    problem: str = ""
    same_frames: bool = False
    same_hashes: bool = False
    same_look: bool = False
    coverage: Coverage = field(default_factory=Coverage)


async def repeat(stored: Stored, intake: Intake, path: Path) -> Repeat:
    """Looks at a file as an earlier screening did, if there is no `problem`. Nothing is stored.

    Raises ``OSError`` if the file cannot be read, `SpoolFull` and what else `Intake.inspect` does.
    """
    looks = Looks(
        frozenset(stored.screening.hash_versions),
        intake.upload,
        turns=True,
        seed=stored.seed or 0,
    )
    with intake.admitted() as ticket:
        inspected = await intake.inspect(ticket, _chunks(path), 0, looks, _never)
    before, now = stored.screening.coverage, inspected.coverage
    return Repeat(
        same_frames=_times(stored.signals) == _times(inspected.signals)
        and before.frames_decoded == now.frames_decoded,
        same_hashes=_rows(stored.signals) == _rows(inspected.signals),
        same_look=stored.screening.look_version == inspected.look_version,
        coverage=now,
    )


async def problem(stored: Stored, path: Path) -> str:
    """Why a screening cannot be repeated with a file; empty if it can. Raises ``OSError``."""
    screening = stored.screening
    if screening.coverage.by_caller:
        return "its caller hashed the media: no frame was looked at here"
    if stored.seed is None:
        return "no seed is stored with it: it is of an older version, or nothing was decoded"
    if not screening.media.sha256:
        return "its verdict came before its last byte: which file it was is not known"
    hasher = ExactHasher(())
    async for chunk in _chunks(path):
        hasher.update(chunk)
    if hasher.sha256 != screening.media.sha256:
        return "this is not the file that was screened: its SHA-256 is another"
    return ""


async def _never(signals: list[Signals]) -> bool:  # noqa: ARG001
    """Nothing that is found ends it early."""
    return False


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _READ_BYTES):
            yield chunk


def _times(signals: Sequence[Signals]) -> dict[int, list[int]]:
    """When the frames are shown that were hashed, by the kind of hash."""
    return {
        int(each.kind): np.unique(each.pts_ms).tolist() for each in signals if not each.kind.exact
    }


def _rows(signals: Sequence[Signals]) -> set[tuple[int, bytes, int, int, int]]:
    """All hashes of frames with what belongs to each, in no order."""
    return {
        (int(each.kind), digest.tobytes(), int(quality), int(pts_ms), int(view))
        for each in signals
        if not each.kind.exact
        for digest, quality, pts_ms, view in zip(
            each.digests, each.quality, each.pts_ms, each.view, strict=True
        )
    }
