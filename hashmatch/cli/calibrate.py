"""``hashmatch calibrate``: thresholds from an operator's own clean media."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Annotated, Any, Final

from hashmatch.cli.command import naming
from hashmatch.cli.options import arg, opt, server_part
from hashmatch.cli.output import Output
from hashmatch.model.records import DEFAULT_THRESHOLDS
from hashmatch.model.verdicts import Kind

__all__ = ["calibrate"]

_PLOT: Final = "SVG file to draw the curve to: wrong matches by threshold."

_SHOWN: Final = (0, 16, 24, 31, 36, 42, 47, 52, 57, 63)
_BAR: Final = 30
_DECADES: Final = (-12, 6)  # Of wrong matches in a million uploads, as bars show them.
_MOST_PAIRS: Final = 5

# Fewer than these say little of what others upload.
_FEW_MEDIA: Final = 100


def calibrate(
    out: Output,
    folder: Annotated[Path, arg("Folder of clean media, as many as you have.", "DIR")],
    plot: Annotated[Path | None, opt(_PLOT, "none", "--plot", metavar="PATH")] = None,
    hashes: Annotated[int, opt("Number of hashes on the blocklist.", min=1)] = 10_000_000,
    wrong: Annotated[float, opt("Wrong matches allowed per million uploads.", min=1e-9)] = 1.0,
) -> None:
    """Measure how similar unrelated media are, and propose a threshold.

    DIR holds clean media of your own, some dozens or more, as different as what is uploaded. They
    are decoded in this process, not in a sandbox. Exit code 1: too few, or none that can be read.
    """
    calibration = server_part("engine.policy.calibration")
    if not folder.is_dir():
        raise NotADirectoryError(20, "not a folder", str(folder))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    media = _hashed(out, calibration, files)
    with out.progress.task("compare", len(media)) as update:
        done = itertools.count(1)
        found = calibration.calibrate(
            media, DEFAULT_THRESHOLDS[Kind.PDQ_PATCH], lambda: update(next(done), None)
        )
    told = _told(found, hashes, wrong)
    if plot:
        with naming(plot):
            plot.write_text(_svg(told))
    out.write(told)
    _print(out, told)


def _hashed(out: Output, calibration: Any, files: list[Path]) -> list[Any]:
    look = server_part("decoding.worker.local").look
    kinds = (Kind.PDQ, Kind.PDQ_PATCH)
    media = []
    for file in out.counted(files, "hash"):
        with naming(file):
            upload, entry = look(file, kinds, turns=True), look(file, kinds, as_entry=True)
        if entry.done.coverage.frames_hashed:
            media.append(calibration.Media(file.name, upload.signals, entry.signals))
        else:
            out.note(f"{file.name}: left out, nothing in it can be hashed")
    return media


def _told(found: Any, hashes: int, wrong: float) -> dict[str, Any]:
    bits = range(Kind.PDQ.largest_threshold + 1)
    return {
        "media": found.media,
        "frames": found.frames,
        "pairs": found.pairs,
        "nearest_bits": found.nearest,
        "list_hashes": hashes,
        "wrong_per_million": [found.wrong_per_million(each, hashes) for each in bits],
        "allowed_per_million": wrong,
        "proposed_threshold": found.threshold(wrong, hashes),
        "alike": found.alike,
        "squares_held": found.held,
        "squares_blocked": found.blocked,
        "flat_held": found.flat,
    }


def _print(out: Output, told: dict[str, Any]) -> None:
    out.say(
        f"{told['media']} media, {told['frames']} frames, {told['pairs']:.2g} unrelated pairs; "
        f"the nearest is {told['nearest_bits']} bits apart"
    )
    out.say(f"Wrong matches of a million clean uploads, {told['list_hashes']:,} hashes:")
    values = [(bits, told["wrong_per_million"][bits]) for bits in _SHOWN]
    rows = [(f"{bits}", f"{each:.1e}", "█" * round(_BAR * _height(each))) for bits, each in values]
    out.table(("pdq", "wrong", ""), rows)
    out.say(
        f"Proposed: --kind pdq:{told['proposed_threshold']} "
        f"(fewer than {told['allowed_per_million']:g} in a million)"
    )
    if told["media"] < _FEW_MEDIA:
        out.say(
            f"Only {told['media']} media: do not go beyond what is set by default for that",
            style="yellow",
        )
    out.say(
        f"Squares: {len(told['squares_blocked'])} pairs of files would block each other, "
        f"{len(told['squares_held'])} be held for review"
    )
    out.say(f"Flat: {len(told['flat_held'])} pairs of files would be held for review")
    for what, pairs in (
        ("block each other", told["squares_blocked"]),
        ("hold each other", told["squares_held"]),
        ("hold each other by a flat frame", told["flat_held"]),
        ("show the same, left out", told["alike"]),
    ):
        for one, other in pairs[:_MOST_PAIRS]:
            out.say(f"  {what}: {one}, {other}", wrap=False)
    out.say(
        "Assumed: pairs are independent, the blocklist is of media like these, and what "
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
    values = told["wrong_per_million"]

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
    across = left + width * told["proposed_threshold"] / (len(values) - 1)
    lines.append(f'<path d="M{across:.1f},{top}v{height}" stroke="#c33" stroke-dasharray="4"/>')
    title = f"Wrong matches of a million clean uploads, {told['list_hashes']:,} hashes"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="330" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="600" height="330" fill="#fff"/>{"".join(lines)}'
        f'<polyline points="{curve}" fill="none" stroke="#246" stroke-width="2"/>'
        f'<text x="{left}" y="14">{title}</text>'
        f'<text x="{left + width / 2}" y="{top + height + 34}" text-anchor="middle">'
        f"PDQ threshold in bits; proposed: {told['proposed_threshold']}</text></svg>\n"
    )
