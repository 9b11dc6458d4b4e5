"""``hashmatch hash`` and ``hashmatch storyboard``: what is made of a file, without a server."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from hashmatch.cli import options
from hashmatch.cli.options import AsJson
from hashmatch.cli.output import (
    Context,
    failed,
    plain,
    print_json,
    promised,
    stderr,
    stdout,
    table,
)
from hashmatch.errors import HashmatchError
from hashmatch.model.verdicts import Kind

__all__ = ["hash_files", "storyboard"]

_SEED_DIGITS: Final = 32  # 128 bits, see `decoding.channel`.

Seed = Annotated[
    str,
    typer.Option(metavar="HEX", help="Choose frames as a run with this seed, from --json, did."),
]
AsEntry = Annotated[
    bool, typer.Option("--entry", help="As closely as an entry is hashed, not as an upload.")
]


def hash_files(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False)],
    as_entry: AsEntry = False,
    turns: Annotated[
        bool, typer.Option("--turns", help="Every turn and mirror of a frame too.")
    ] = False,
    phash: Annotated[bool, typer.Option("--phash", help="pHash besides PDQ.")] = False,
    seed: Seed = "",
    as_json: AsJson = False,
) -> None:
    """Hash files here: their hashes, what was looked at, and where the time went.

    Files are decoded in this process, not in a sandbox: use it on files that you trust. Hashes of
    prohibited media are secrets.
    """
    shared = options.of(context, None, as_json)
    kinds = (Kind.PDQ, Kind.PHASH) if phash else (Kind.PDQ,)
    number = _seed(seed)
    failures = 0
    for file in files:
        found = _looked(shared, file, kinds, as_entry=as_entry, turns=turns, seed=number)
        if found is None:
            failures += 1
        elif shared.json:
            print_json({"file": str(file), **found.to_json()})
        else:
            _print(file, found)
    if failures:
        raise typer.Exit(1)


def storyboard(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")],
    as_entry: AsEntry = False,
    seed: Seed = "",
    as_json: AsJson = False,
) -> None:
    """Draw the frames that are looked at on a time line, and why they were chosen.

    The file is decoded in this process, not in a sandbox: use it on files that you trust.
    """
    shared = options.of(context, None, as_json)
    number = _seed(seed)
    found = _looked(shared, file, (Kind.PDQ,), as_entry=as_entry, pictures=True, seed=number)
    if found is None:
        raise typer.Exit(1)
    try:
        options.server_part("decoding.media.storyboard").draw(
            output, found.chosen, found.key_ms, found.done.coverage.duration_content_ms
        )
    except OSError as error:
        failed(error, shared, file=str(output))
        raise typer.Exit(1) from None
    about = {"file": str(output), "frames": len(found.chosen), "key_frames": len(found.key_ms)}
    if shared.json:
        print_json(about)
    else:
        stdout.print(
            Text(f"{plain(str(output))}: {len(found.chosen)} frames were chosen"), soft_wrap=True
        )


def _looked(context: Context, file: Path, kinds: tuple[Kind, ...], **how: Any) -> Any | None:
    """A `decoding.worker.local.Look`; None if there is none, and why was printed."""
    try:
        look: Callable[..., Any] = options.server_part("decoding.worker.local").look
        with stderr.status(f"looking at {plain(file.name)}"):
            return look(file, kinds, **how)
    except (HashmatchError, OSError) as error:
        failed(error, context, file=str(file))
        return None


def _seed(text: str) -> int | None:
    """Of an option; None if it was not given."""
    if not text:
        return None
    if len(text) != _SEED_DIGITS or not set(text) <= set(string.hexdigits):
        raise typer.BadParameter(f"--seed: {_SEED_DIGITS} hexadecimal digits are needed")
    return int(text, 16)


def _print(file: Path, found: Any) -> None:
    coverage, media, costs = found.done.coverage, found.done.media, found.tally.costs
    line = Text(plain(str(file)), style="bold")
    line.append(f"  {media.format} {media.width}x{media.height}", style="default")
    stdout.print(line)
    gap = f"largest gap {coverage.largest_gap_ms / 1000:.2f} s"
    stdout.print(
        f"  {coverage.duration_content_ms / 1000:.2f} s, {coverage.frames_decoded} frames decoded, "
        f"{coverage.frames_hashed} hashed, {gap}"
    )
    for name, value in promised(coverage).items():
        stdout.print(f"  {name}: {value}")
    parts = (
        ("read", costs.demux_s),
        ("decode", costs.decode_s),
        ("scale", costs.scale_s),
        ("hash", costs.hash_s),
    )
    stdout.print("  " + ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in parts))
    for reason in found.done.reasons:
        stdout.print(Text(f"  {reason.code.name}: {plain(reason.detail)}"))
    made = table("time", "hash", "q")
    for each in found.signals:
        for digest, quality, pts_ms in zip(each.digests, each.quality, each.pts_ms, strict=True):
            when = each.kind.name if each.kind.exact else f"{pts_ms / 1000:.2f} s"
            made.add_row(when, digest.tobytes().hex(), "" if each.kind.exact else f"{quality}")
    stdout.print(made)
