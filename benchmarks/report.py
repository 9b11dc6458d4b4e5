"""Results for people: a table, a Markdown summary, plots, and the README's "Measured"."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from rich.table import Table

from benchmarks.baseline import Finding
from benchmarks.harness import Row
from benchmarks.results import Result

__all__ = ["README_MARKS", "figure", "history", "measured", "plots", "summary", "table"]

README_MARKS: Final = "<!-- measured: begin -->", "<!-- measured: end -->"

_COLOURS: Final = {
    "ok": "green",
    "new": "cyan",
    "short": "bold red",
    "fault": "bold red",
    "missing": "bold red",
}


def figure(value: float, unit: str) -> str:
    """A value for people: seconds in the unit that fits."""
    if unit != "s":
        return f"{value:.3g} {unit}"
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def table(rows: Sequence[Row], findings: Sequence[Finding]) -> Table:
    """For a terminal of 80 columns."""
    by_name = {finding.name: finding for finding in findings}
    made = Table("row", "value", "yardstick", "ratio", "±", "baseline", box=None, pad_edge=False)
    for row in rows:
        finding = by_name.get(row.name) or Finding(row.name, "new", "")
        made.add_row(
            row.name,
            figure(row.value, row.unit),
            figure(row.yardstick, row.unit),
            f"{row.ratio:.2f}",
            f"{row.spread:.0%}",
            f"[{_COLOURS[finding.state]}]{finding.state}[/]",
        )
    return made


def summary(result: Result, findings: Sequence[Finding]) -> str:
    """The Markdown summary."""
    red = [finding for finding in findings if finding.is_red]
    lines = [
        "# Benchmarks",
        "",
        f"{result.time}, commit `{result.commit}`, {result.machine['cores']} cores of "
        f"{result.machine['processor']}, `{result.command}`.",
        "",
        f"{len(result.rows)} rows, {len(red)} of them red." if red else "No row is red.",
        "",
        *(f"- **{each.name}** {each.state}: {each.detail}" for each in red),
        "",
        *_markdown_rows(result.rows),
        "",
        "A ratio says how the row stands to its yardstick in the same run; more is better.",
        "",
    ]
    for name, text in sorted(result.details.get("notes", {}).items()):
        lines += [f"## {name}", "", text, ""]
    return "\n".join(lines)


def _markdown_rows(rows: Sequence[Row]) -> list[str]:
    return [
        "| row | what | value | yardstick | ratio | ± |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{row.name}` | {row.what} | {figure(row.value, row.unit)} | "
            f"{row.yardstick_name}: {figure(row.yardstick, row.unit)} | {row.ratio:.2f} | "
            f"{row.spread:.0%} |"
            for row in rows
        ),
    ]


def measured(result: Result) -> str:
    """The README's section, without its marks."""
    return "\n".join(
        [
            f"Measured on {result.time[:10]} with `{result.command}` on "
            f"{result.machine['cores']} cores of {result.machine['processor']}. A ratio says how a "
            "row stands to its yardstick in the same run; more is better.",
            "",
            *_markdown_rows(result.rows),
        ]
    )


def history(rows: Sequence[Row]) -> str:
    """What github-action-benchmark takes as "customBiggerIsBetter"."""
    return json.dumps(
        [
            {
                "name": row.name,
                "unit": "times the yardstick",
                "value": round(row.ratio, 4),
                "range": f"{row.spread:.1%}",
                "extra": f"{row.what}; {row.yardstick_name}",
            }
            for row in rows
        ],
        indent=1,
    )


def plots(result: Result, baseline: Sequence[Row], folder: Path) -> list[Path]:
    """Draws what there is to draw; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [_ratios(result, baseline, folder / "ratios.png")]
    if recall := result.details.get("recall"):
        made.append(_heat_map(recall, folder / "recall.png"))
    if curve := result.details.get("false_positives"):
        made.append(_false_positives(curve, folder / "false_positives.png"))
    return made


def _ratios(result: Result, baseline: Sequence[Row], path: Path) -> Path:
    # What was 0 before (an attack that hides everything) has no ratio to be a part of.
    before = {row.name: row.ratio for row in baseline if row.ratio}
    rows = [row for row in result.rows if before.get(row.name, row.ratio)]
    names = [row.name for row in rows]
    changes = [row.ratio / before.get(row.name, row.ratio) for row in rows]
    noise = [row.spread * change for row, change in zip(rows, changes, strict=True)]
    drawing, axes = _canvas(8, 0.3 * len(names) + 1.2)
    axes.barh(names, changes, xerr=noise, color="#4477aa", ecolor="#222222")
    axes.axvline(1.0, color="#222222", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("ratio, as a part of the baseline's (more is better)")
    return _save(drawing, path)


def _heat_map(recall: dict[str, dict[str, float]], path: Path) -> Path:
    """Recall by attack (rows) and rule (columns), 0 to 1."""
    attacks = sorted(recall)
    rules = list(recall[attacks[0]])
    values = [[recall[attack][rule] for rule in rules] for attack in attacks]
    drawing, axes = _canvas(6, 0.3 * len(attacks) + 1.5)
    axes.imshow(values, vmin=0, vmax=1, cmap="RdYlGn", aspect="auto")
    axes.set_xticks(range(len(rules)), rules)
    axes.set_yticks(range(len(attacks)), attacks)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=8)
    axes.set_title("recall")
    return _save(drawing, path)


def _false_positives(curve: dict[str, list[float]], path: Path) -> Path:
    """Expected wrong frames at ten million hashes, over the threshold."""
    drawing, axes = _canvas(7, 4)
    axes.semilogy(curve["threshold"], curve["at_10m"], color="#4477aa")
    axes.axvline(31, color="#aa3333", linestyle="--", linewidth=1)
    axes.set_xlabel("threshold, bits of 256")
    axes.set_ylabel("expected wrong matches of a frame\nagainst 10M hashes (or upper bound)")
    axes.set_title("unrelated frames")
    return _save(drawing, path)


def _canvas(width: float, height: float) -> tuple[Figure, Any]:
    drawing = Figure(figsize=(width, height))
    return drawing, drawing.subplots()


def _save(drawing: Figure, path: Path) -> Path:
    drawing.tight_layout()
    drawing.savefig(path, dpi=110, metadata={"Software": None})
    return path
