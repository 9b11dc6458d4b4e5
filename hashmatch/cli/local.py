"""``hashmatch hash`` and ``hashmatch storyboard``: what is made of a file, without a server."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hashmatch.cli.command import naming
from hashmatch.cli.options import arg, opt, server_part
from hashmatch.cli.output import Output
from hashmatch.cli.views import promised
from hashmatch.errors import HashmatchError
from hashmatch.model.verdicts import Kind

__all__ = ["hash_files", "storyboard"]

_SEED_DIGITS: Final = 32  # 128 bits, see `decoding.channel`.


def _seed(text: str) -> int:
    if len(text) != _SEED_DIGITS or not set(text) <= set(string.hexdigits):
        raise typer.BadParameter(f"{_SEED_DIGITS} hexadecimal digits are needed")
    return int(text, 16)


_SEED: Final = "Choose the same frames as an earlier run, whose seed --json printed."
_ENTRY: Final = "Look at as many frames as of an entry, not of an upload."

Seed = Annotated[int | None, opt(_SEED, "random", parser=_seed, metavar="HEX")]
AsEntry = Annotated[bool, opt(_ENTRY, False, "--entry")]


def hash_files(
    out: Output,
    files: Annotated[list[Path], arg("Videos and images to hash.", "FILE...")],
    as_entry: AsEntry = False,
    turns: Annotated[bool, opt("Hash rotated and mirrored frames too.", False, "--turns")] = False,
    phash: Annotated[bool, opt("Compute pHash besides PDQ.", False, "--phash")] = False,
    seed: Seed = None,
) -> None:
    """Hash files without a server: their hashes, what was looked at, and where the time went.

    Files are decoded in this process, not in a sandbox: use it on files that you trust. Hashes of
    prohibited media are secrets.
    """
    kinds = (Kind.PDQ, Kind.PHASH) if phash else (Kind.PDQ,)
    look = server_part("decoding.worker.local").look
    for file in out.counted(files, "hash"):
        try:
            found = look(file, kinds, as_entry=as_entry, turns=turns, seed=seed)
        except (HashmatchError, OSError) as error:
            out.failed(error, file=str(file))
        else:
            out.write({"file": str(file), **found.to_json()})
            _print(out, file, found)


def storyboard(
    out: Output,
    file: Annotated[Path, arg("A video or an image.", "FILE")],
    output: Annotated[Path, opt("The PNG file to write.", True, "--output", "-o", metavar="PATH")],
    as_entry: AsEntry = False,
    seed: Seed = None,
) -> None:
    """Draw the frames that are looked at on a time line, and why they were chosen.

    The file is decoded in this process, not in a sandbox: use it on files that you trust.
    """
    look = server_part("decoding.worker.local").look
    with naming(file), out.progress.task(file.name):
        found = look(file, (Kind.PDQ,), as_entry=as_entry, pictures=True, seed=seed)
    with naming(output):
        server_part("decoding.media.storyboard").draw(
            output, found.chosen, found.key_ms, found.done.coverage.duration_content_ms
        )
    frames = len(found.chosen)
    out.write({"file": str(output), "frames": frames, "key_frames": len(found.key_ms)})
    out.say(f"{output}: {frames} frames were chosen", wrap=False)


def _print(out: Output, file: Path, found: Any) -> None:
    coverage, media, costs = found.done.coverage, found.done.media, found.tally.costs
    out.say((str(file), "bold"), f"  {media.format} {media.width}x{media.height}")
    out.say(
        f"  {coverage.duration_content_ms / 1000:.2f} s, {coverage.frames_decoded} frames decoded, "
        f"{coverage.frames_hashed} hashed, largest gap {coverage.largest_gap_ms / 1000:.2f} s"
    )
    for name, value in promised(coverage).items():
        out.say(f"  {name}: {value}")
    seconds = (costs.demux_s, costs.decode_s, costs.scale_s, costs.hash_s)
    parts = zip(("read", "decode", "scale", "hash"), seconds, strict=True)
    out.say("  " + ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in parts))
    for reason in found.done.reasons:
        out.say(f"  {reason.code.name}: {reason.detail}")
    rows = [
        (
            each.kind.name if each.kind.exact else f"{pts_ms / 1000:.2f} s",
            digest.tobytes().hex(),
            "" if each.kind.exact else f"{quality}",
        )
        for each in found.signals
        for digest, quality, pts_ms in zip(each.digests, each.quality, each.pts_ms, strict=True)
    ]
    out.table(("time", "hash", "q"), rows, ("time", "hash"))
