"""``hashmatch calibrate``: thresholds from an operator's own clean media."""

from __future__ import annotations

import math
from collections.abc import Iterable
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
    progress_bar,
    stderr,
    stdout,
    table,
)
from hashmatch.errors import HashmatchError
from hashmatch.model.records import DEFAULT_THRESHOLDS
from hashmatch.model.verdicts import Kind

__all__ = ["calibrate"]

_SHOWN: Final = (0, 16, 24, 31, 36, 42, 47, 52, 57, 63)
_BAR: Final = 30
_DECADES: Final = (-12, 6)  # Of wrong matches in a million uploads, as bars show them.
_MOST_PAIRS: Final = 5

# Fewer than these say little of what others upload.
_FEW_MEDIA: Final = 100


def calibrate(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)],
    plot: Annotated[
        Path | None, typer.Option("--plot", help="An SVG to write.", show_default=False)
    ] = None,
    hashes: Annotated[
        int, typer.Option(min=1, help="Hashes of the blocklist that figures are for.")
    ] = 10_000_000,
    wrong: Annotated[
        float, typer.Option(min=1e-9, help="Wrong matches allowed in a million uploads.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Measure how near unrelated media come, and propose a threshold.

    DIR holds clean media of your own, some dozens or more, as different as what is uploaded. They
    are decoded in this process, not in a sandbox. Exit code 1: too few, or none that can be read.
    """
    shared = options.of(context, None, as_json)
    try:
        calibration = options.server_part("engine.policy.calibration")
        media = _hashed(shared, calibration, sorted(_files(folder)))
        with progress_bar(len(media), "compare") as advance:
            found = calibration.calibrate(media, DEFAULT_THRESHOLDS[Kind.PDQ_PATCH], advance)
        told = _told(found, hashes, wrong)
        if plot:
            plot.write_text(_svg(told))
    except (HashmatchError, OSError) as error:
        failed(error, shared)
        raise typer.Exit(1) from None
    if shared.json:
        print_json(told)
    else:
        _print(told)


def _files(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        raise NotADirectoryError(20, "not a folder", str(folder))
    return (path for path in folder.rglob("*") if path.is_file())


def _hashed(context: Context, calibration: Any, files: list[Path]) -> list[Any]:
    look = options.server_part("decoding.worker.local").look
    kinds = (Kind.PDQ, Kind.PDQ_PATCH)
    media = []
    with progress_bar(len(files), "hash") as advance:
        for file in files:
            upload, entry = look(file, kinds, turns=True), look(file, kinds, as_entry=True)
            advance()
            if entry.done.coverage.frames_hashed:
                media.append(calibration.Media(file.name, upload.signals, entry.signals))
            elif not context.json:
                stderr.print(Text(f"{plain(file.name)}: left out, nothing in it can be hashed"))
    return media


def _told(found: Any, hashes: int, wrong: float) -> dict[str, Any]:
    bits = range(Kind.PDQ.largest_threshold + 1)
    return {
        "media": found.media,
        "frames": found.frames,
        "pairs": found.pairs,
        "nearestBits": found.nearest,
        "listHashes": hashes,
        "wrongPerMillion": [found.wrong_per_million(each, hashes) for each in bits],
        "allowedPerMillion": wrong,
        "proposedThreshold": found.threshold(wrong, hashes),
        "alike": found.alike,
        "squaresHeld": found.held,
        "squaresBlocked": found.blocked,
    }


def _print(told: dict[str, Any]) -> None:
    stdout.print(
        f"{told['media']} media, {told['frames']} frames, {told['pairs']:.2g} unrelated pairs; "
        f"the nearest is {told['nearestBits']} bits apart"
    )
    stdout.print(f"Wrong matches of a million clean uploads, {told['listHashes']:,} hashes:")
    shown = table("pdq", "wrong", "")
    for bits in _SHOWN:
        value = told["wrongPerMillion"][bits]
        shown.add_row(f"{bits}", f"{value:.1e}", "█" * round(_BAR * _height(value)))
    stdout.print(shown)
    stdout.print(
        f"Proposed: --kind pdq:{told['proposedThreshold']} "
        f"(fewer than {told['allowedPerMillion']:g} in a million)"
    )
    if told["media"] < _FEW_MEDIA:
        stdout.print(
            f"Only {told['media']} media: do not go beyond what is set by default for that",
            style="yellow",
        )
    stdout.print(
        f"Squares: {len(told['squaresBlocked'])} pairs of files would block each other, "
        f"{len(told['squaresHeld'])} be held for review"
    )
    for what, pairs in (
        ("block each other", told["squaresBlocked"]),
        ("hold each other", told["squaresHeld"]),
        ("show the same, left out", told["alike"]),
    ):
        for one, other in pairs[:_MOST_PAIRS]:
            stdout.print(Text(f"  {what}: {plain(one)}, {plain(other)}"), soft_wrap=True)
    stdout.print(
        "Assumed: pairs are independent, the blocklist is of media like these, and what\n"
        "is nearer than all but five pairs here is as rare as in a normal distribution.",
        style="dim",
    )


def _height(value: float) -> float:
    """On a logarithmic scale, 0 to 1."""
    low, high = _DECADES
    return min(1.0, max(0.0, (math.log10(max(value, 1e-300)) - low) / (high - low)))


def _svg(told: dict[str, Any]) -> str:
    """The curve: threshold across, wrong matches of a million uploads up, by decades."""
    left, top, width, height = 60, 20, 520, 260
    values = told["wrongPerMillion"]

    def place(bits: float, value: float) -> str:
        across = left + width * bits / (len(values) - 1)
        return f"{across:.1f},{top + height * (1 - _height(value)):.1f}"

    curve = " ".join(place(bits, value) for bits, value in enumerate(values))
    low, high = _DECADES
    lines = []
    for decade in range(low, high + 1, 3):
        y = top + height * (1 - (decade - low) / (high - low))
        lines.append(f'<path d="M{left},{y:.1f}h{width}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">1e{decade}</text>')
    for bits in range(0, len(values), 8):
        x = left + width * bits / (len(values) - 1)
        lines.append(
            f'<text x="{x:.1f}" y="{top + height + 16}" text-anchor="middle">{bits}</text>'
        )
    across = left + width * told["proposedThreshold"] / (len(values) - 1)
    lines.append(f'<path d="M{across:.1f},{top}v{height}" stroke="#c33" stroke-dasharray="4"/>')
    title = f"Wrong matches of a million clean uploads, {told['listHashes']:,} hashes"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="330" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="600" height="330" fill="#fff"/>{"".join(lines)}'
        f'<polyline points="{curve}" fill="none" stroke="#246" stroke-width="2"/>'
        f'<text x="{left}" y="14">{title}</text>'
        f'<text x="{left + width / 2}" y="{top + height + 34}" text-anchor="middle">'
        f"PDQ threshold in bits; proposed: {told['proposedThreshold']}</text></svg>\n"
    )
