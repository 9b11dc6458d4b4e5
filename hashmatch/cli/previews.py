"""What ``hashmatch entry preview`` and ``hashmatch import preview`` print."""

from __future__ import annotations

from typing import Annotated, Final

from hashmatch.cli.options import opt
from hashmatch.cli.output import Output, Part, message_json
from hashmatch.cli.views import described, verdict
from hashmatch.model.previews import Preview
from hashmatch.model.records import Evidence
from hashmatch.model.verdicts import Effect, Verdict
from hashmatch.wire.records import preview_to_wire

__all__ = ["Benign", "Screenings", "Timeout", "print_preview"]

_SCREENINGS: Final = "Number of screenings to compare it with, the newest first."
_BENIGN: Final = "Whether to compare it with entries of negative banks (--action overrule) too."

Screenings = Annotated[int, opt(_SCREENINGS, min=0, max=10_000)]
Benign = Annotated[bool, opt(_BENIGN, True, "--benign/--no-benign")]
Timeout = Annotated[float, opt("Seconds for the whole comparison.", min=0.1)]

_ROWS: Final = {
    "compared": "compared",
    "compared in part": "partly_compared",
    "not compared": "not_compared",
    "would block": "would_block",
    "would hold for review": "would_review",
    "match without effect": "without_effect",
}


def print_preview(out: Output, preview: Preview) -> None:
    """Prints what an entry or an import would have done."""
    out.write({"preview": message_json(preview_to_wire(preview))})
    screenings, benign = preview.screenings, preview.benign
    rows = [
        (name, *(f"{getattr(each, counted)}" for each in (screenings, benign)))
        for name, counted in _ROWS.items()
    ]
    rows.append(("newly held", f"{screenings.newly_held}", ""))
    if screenings.newly_passed:
        rows.append(("no longer held", f"{screenings.newly_passed}", ""))
    out.table(("", "SCREENINGS", "BENIGN"), rows)
    for screening in preview.screening_samples:
        out.say(
            (screening.screening_id, "bold"),
            (f"  {screening.create_time:%Y-%m-%d %H:%M}  ", "dim"),
            verdict(screening.verdict),
            *_would_be(screening.would_be),
        )
        _print_evidence(out, screening.evidence)
    for other in preview.benign_samples:
        ref = other.entry
        out.say(
            (ref.reference or ref.entry_id, "bold"),
            f"  benign ({ref.bank_name})",
            *_would_be(other.would_be),
        )
        _print_evidence(out, other.evidence)
    if not preview.kinds:
        out.note("none of its hashes can match anything in this bank", style="bold yellow")
    for what, tally in (("screenings", screenings), ("benign", benign)):
        for kind, count in sorted(tally.missing.items()):
            out.note(
                f"{what}: {count} could not be compared by {kind.name.lower()}", style="yellow"
            )


def _would_be(led_to: Verdict) -> tuple[Part, ...]:
    return "  would be ", verdict(led_to, "nothing" if led_to is Verdict.NO_MATCH else "")


def _print_evidence(out: Output, evidence: tuple[Evidence, ...]) -> None:
    for each in evidence:
        without = "" if each.effect is Effect.ACTS else f" ({each.effect.name.lower()})"
        out.say(f"  - {described(each)}{without}")
