"""Results for people: a table, a Markdown summary, plots, and the README's "Measured"."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from rich.table import Table

from benchmarks.baseline import Finding
from benchmarks.harness import Row
from benchmarks.results import Result

__all__ = [
    "README_MARKS",
    "figure",
    "history",
    "measured",
    "plots",
    "summary",
    "table",
    "unknown",
]

README_MARKS: Final = "<!-- measured: begin -->", "<!-- measured: end -->"

_COLOURS: Final = {
    "ok": "green",
    "floor": "green",
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


def unknown(result: Result) -> str:
    """What a run on a processor without a baseline is held against, in words."""
    return (
        f"There is no baseline of this processor, {result.machine['processor']} with "
        f"{result.machine['cores']} cores: its floor decides on each row, which finds large "
        "losses alone. Those that depend on media alone are held against the newest baseline."
    )


def summary(result: Result, findings: Sequence[Finding], *, known: bool = True) -> str:
    """The Markdown summary. ``known``: the processor has a baseline."""
    red = [finding for finding in findings if finding.is_red]
    lines = [
        "# Benchmarks",
        "",
        f"{result.time}, commit `{result.commit}`, {result.machine['cores']} cores of "
        f"{result.machine['processor']}, `{result.command}`.",
        "",
        f"{len(result.rows)} rows, {len(red)} of them red." if red else "No row is red.",
        "",
        *(() if known else (unknown(result), "")),
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
    recall = [row for row in result.rows if row.media]
    media = recall[0].media if recall else ""
    lines = [
        f"On {result.time[:10]}, `{result.command}` on {result.machine['cores']} cores of "
        f"{result.machine['processor']}. A ratio says how a row stands to its yardstick in the "
        "same run: 2 is twice as good, ± is the noise.",
        "",
        *_markdown_rows([row for row in result.rows if not row.media]),
    ]
    if recall:
        own = [row for row in recall if row.media == media]
        lines += [
            "",
            f"What is found after an attack, and who is accused: {media}. The bank matches by "
            "`pdq:31` and `pdq_patch:40`. The yardstick is vPDQ's rule that one frame in common is "
            "enough.",
            "",
            "| row | what | hashmatch | vPDQ |",
            "|---|---|---|---|",
            *(
                f"| `{row.name}` | {row.what} | {row.value:.3g} | {row.yardstick:.3g} |"
                for row in own
            ),
        ]
    return "\n".join(lines)


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
        made.append(_by_rule(recall, folder / "recall.png"))
    if strength := result.details.get("strength"):
        made.append(_by_strength(strength, folder / "recall_by_strength.png"))
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


def _by_rule(recall: dict[str, dict[str, float]], path: Path) -> Path:
    """Recall by attack (rows) and rule (columns), 0 to 1."""
    attacks = sorted(recall)
    rules = list(recall[attacks[0]])
    values = [[recall[attack][rule] for rule in rules] for attack in attacks]
    texts = [[f"{value:.2f}" for value in line] for line in values]
    drawing, axes = _heat_map(attacks, values, texts, 6)
    axes.set_xticks(range(len(rules)), rules)
    axes.set_title("recall")
    return _save(drawing, path)


def _by_strength(levels: dict[str, dict[str, Any]], path: Path) -> Path:
    """Recall by attack (rows) and its strength (columns, weakest first), 0 to 1."""
    attacks = list(levels)
    cells = [levels[attack]["cells"] for attack in attacks]
    width = max(map(len, cells))
    values = [
        [cell["found"] / cell["cases"] for cell in line] + [math.nan] * (width - len(line))
        for line in cells
    ]
    texts = [
        [f"{cell['found']}/{cell['cases']}  {cell['label']}" for cell in line] for line in cells
    ]
    names = [f"{attack} ({by})" if (by := levels[attack]["by"]) else attack for attack in attacks]
    drawing, axes = _heat_map(names, values, texts, 10)
    axes.set_xticks([0, width - 1], ["weakest", "strongest"])
    axes.set_title("recall by strength: found of copies, and the range of the strength")
    return _save(drawing, path)


def _heat_map(
    names: Sequence[str],
    values: Sequence[Sequence[float]],
    texts: Sequence[Sequence[str]],
    width: float,
) -> tuple[Figure, Any]:
    drawing, axes = _canvas(width, 0.3 * len(names) + 1.5)
    axes.imshow(values, vmin=0, vmax=1, cmap="RdYlGn", aspect="auto")
    axes.set_yticks(range(len(names)), names)
    for y, line in enumerate(texts):
        for x, text in enumerate(line):
            axes.text(x, y, text, ha="center", va="center", fontsize=8)
    return drawing, axes


def _false_positives(curve: dict[str, list[float]], path: Path) -> Path:
    """Uploads wrongly blocked of a million, at ten million hashes, over the threshold."""
    drawing, axes = _canvas(7, 4)
    axes.semilogy(curve["threshold"], curve["at_10m"], color="#4477aa")
    axes.axvline(31, color="#aa3333", linestyle="--", linewidth=1)
    axes.set_xlabel("threshold, bits of 256")
    axes.set_ylabel("clean uploads blocked of a million,\n10M hashes (normal tail)")
    axes.set_title("unrelated frames")
    return _save(drawing, path)


def _canvas(width: float, height: float) -> tuple[Figure, Any]:
    drawing = Figure(figsize=(width, height))
    return drawing, drawing.subplots()


def _save(drawing: Figure, path: Path) -> Path:
    drawing.tight_layout()
    drawing.savefig(path, dpi=110, metadata={"Software": None})
    return path
