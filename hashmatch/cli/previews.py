"""What ``hashmatch entry preview`` and ``hashmatch import preview`` print."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.text import Text

from hashmatch.cli.output import (
    VERDICT_STYLES,
    Context,
    describe,
    message_json,
    plain,
    print_json,
    stderr,
    stdout,
    table,
)
from hashmatch.model.previews import Preview, PreviewTally
from hashmatch.model.records import Evidence
from hashmatch.model.verdicts import Effect, Verdict
from hashmatch.wire.previews import preview_to_wire

__all__ = ["Benign", "Screenings", "Timeout", "print_preview"]

Screenings = Annotated[
    int, typer.Option(min=0, max=10_000, help="How many of the newest to compare it with.")
]
Benign = Annotated[
    bool, typer.Option("--benign/--no-benign", help="Compare it with negative banks as well.")
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds for all of it.")]

_ROWS: Final = {
    "compared": "compared",
    "compared in part": "partly_compared",
    "not compared": "not_compared",
    "would block": "would_block",
    "would hold for review": "would_review",
    "match without effect": "without_effect",
}


def print_preview(preview: Preview, context: Context) -> None:
    """What an entry or an import would have done."""
    if context.json:
        print_json({"preview": message_json(preview_to_wire(preview))})
        return
    rows = table("", "SCREENINGS", "BENIGN")
    for name, counted in _ROWS.items():
        both = (f"{getattr(each, counted)}" for each in (preview.screenings, preview.benign))
        rows.add_row(name, *both)
    rows.add_row("newly held", f"{preview.screenings.newly_held}", "", style="bold")
    if preview.screenings.newly_passed:
        rows.add_row("no longer held", f"{preview.screenings.newly_passed}", "", style="bold red")
    stdout.print(rows)
    for each in preview.screening_samples:
        line = Text(each.screening_id, style="bold")
        line.append(f"  {each.create_time:%Y-%m-%d %H:%M}  ", style="dim")
        line.append(each.verdict.name, style=VERDICT_STYLES[each.verdict])
        _print_sample(line, each.would_be, each.evidence)
    for benign in preview.benign_samples:
        ref = benign.entry
        line = Text(plain(ref.reference or ref.entry_id), style="bold")
        line.append(f"  benign ({plain(ref.bank_name)})", style="default")
        _print_sample(line, benign.would_be, benign.evidence)
    if not preview.kinds:
        stderr.print("none of its hashes can match anything in this bank", style="bold yellow")
    for what, tally in (("screenings", preview.screenings), ("benign", preview.benign)):
        _print_gaps(what, tally)


def _print_sample(line: Text, would_be: Verdict, evidence: tuple[Evidence, ...]) -> None:
    led_to = would_be.name if would_be is not Verdict.NO_MATCH else "nothing"
    line.append("  would be ", style="default").append(led_to, style=VERDICT_STYLES[would_be])
    stdout.print(line)
    for each in evidence:
        without = "" if each.effect is Effect.ACTS else f" ({each.effect.name.lower()})"
        stdout.print(Text(f"  - {describe(each)}{without}"))


def _print_gaps(what: str, tally: PreviewTally) -> None:
    for kind, count in sorted(tally.missing.items()):
        stderr.print(
            f"{what}: {count} could not be compared by {kind.name.lower()}", style="yellow"
        )
