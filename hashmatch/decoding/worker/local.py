"""Looks at files in this process, for people who want to know what hashmatch makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hashmatch.decoding.channel import Done, Job, new_seed
from hashmatch.decoding.media.source import FileSource
from hashmatch.decoding.media.storyboard import Thumbnail, key_frame_times
from hashmatch.decoding.media.tally import Tally
from hashmatch.decoding.media.versions import look_version
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.decoding.worker.warm_up import warm_up
from hashmatch.engine.hashing.exact import ExactHasher
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling import densities
from hashmatch.engine.sampling.frames import Chosen
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals, part_of, turn_of
from hashmatch.model.verdicts import Kind

__all__ = ["Look", "look"]

_READ_BYTES = 1 << 20
_MAX_DURATION_MS = 24 * 3600 * 1000
_MAX_FRAME_PIXELS = 1 << 28


@dataclass(slots=True)
class Look:
    """What was made of a file."""

    done: Done
    signals: tuple[Signals, ...]
    tally: Tally
    seed: int  # That its frames were chosen by; see `Job`.
    chosen: list[Thumbnail] = field(default_factory=list)
    key_ms: list[int] = field(default_factory=list)  # Of all key frames, decoded or not.

    def to_json(self) -> dict[str, Any]:
        """All but the pictures; digests in hex, costs in seconds."""
        return {
            "media": {
                name: value
                for name, value in asdict(self.done.media).items()
                if name not in ("sha256", "size_bytes")  # Among the signals, and the caller's.
            },
            "coverage": asdict(self.done.coverage),
            "reasons": [
                {"code": reason.code.name, "detail": reason.detail} for reason in self.done.reasons
            ],
            "seed": f"{self.seed:032x}",
            "look_version": self.done.look_version,
            "costs": asdict(self.tally.costs),
            "signals": [
                {
                    "kind": each.kind.name,
                    "digest": digest.tobytes().hex(),
                    "quality": int(quality),
                    "pts_ms": int(pts_ms),
                    "part": part_of(int(view)).name,
                    "turn": turn_of(int(view)).name,
                }
                for each in self.signals
                for digest, quality, pts_ms, view in zip(
                    each.digests, each.quality, each.pts_ms, each.view, strict=True
                )
            ],
        }


def look(
    path: Path,
    kinds: Sequence[Kind] = (Kind.PDQ,),
    *,
    as_entry: bool = False,
    turns: bool = False,
    pictures: bool = False,
    seed: int | None = None,
) -> Look:
    """Decodes and hashes a file as an upload, or ``as_entry`` is; exact hashes are there always.

    With ``turns`` all turns and mirrors of a frame; with ``pictures`` thumbnails of what was
    chosen, and when key frames are shown. With the ``seed`` of an earlier look the same frames are
    looked at; it is drawn if there is none. Raises ``OSError`` if the file cannot be read; whatever
    else is wrong with it is among the reasons.
    """
    job = Job(
        tuple(kinds),
        turns,
        densities.ENTRY if as_entry else densities.UPLOAD,
        DecodeLimits(_MAX_DURATION_MS, _MAX_FRAME_PIXELS),
        new_seed() if seed is None else seed,
    )
    found: list[Signals] = []
    chosen: list[Thumbnail] = []
    tallies = [Tally()]

    def emit(signals: list[Signals], tally: Tally) -> None:
        found.extend(signals)
        tallies[0] = tally

    def observe(each: Chosen[FrameBatch]) -> None:
        if pictures:
            chosen.append(Thumbnail.of(each))

    with path.open("rb") as file:
        warm_up()  # What runs for the first time takes longer than it costs.
        done = inspect(FileSource(file), job, emit, observe)
        done = replace(done, look_version=look_version())
        hasher = ExactHasher((Kind.SHA256, Kind.SHA1, Kind.MD5))
        file.seek(0)
        while chunk := file.read(_READ_BYTES):
            hasher.update(chunk)
    signals = Signals.concatenate([*found, *hasher.signals()])
    key_ms = key_frame_times(path) if pictures else []
    return Look(done, signals, tallies[0], job.seed, chosen, key_ms)
