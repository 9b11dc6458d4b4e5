"""Previews, both ways."""

from __future__ import annotations

from hashmatch.model.previews import Preview, PreviewedBenign, PreviewedScreening, PreviewTally
from hashmatch.model.verdicts import Kind, Verdict
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.enums import known, to_wire
from hashmatch.wire.records import (
    evidence_from_wire,
    evidence_to_wire,
    instant,
    ref_from_wire,
    ref_to_wire,
    timestamp,
)

__all__ = ["preview_from_wire", "preview_to_wire"]


def preview_to_wire(preview: Preview) -> pb.Preview:
    """A record as a message."""
    return pb.Preview(
        entries=preview.entries,
        kinds=[to_wire(kind) for kind in preview.kinds],
        revision=preview.revision,
        screenings=_tally_to_wire(preview.screenings),
        screening_samples=[
            pb.PreviewedScreening(
                screening_id=each.screening_id,
                verdict=to_wire(each.verdict),
                create_time=timestamp(each.create_time),
                would_be=to_wire(each.would_be),
                evidence=[evidence_to_wire(one) for one in each.evidence],
            )
            for each in preview.screening_samples
        ],
        benign=_tally_to_wire(preview.benign),
        benign_samples=[
            pb.PreviewedBenign(
                entry=ref_to_wire(each.entry),
                would_be=to_wire(each.would_be),
                evidence=[evidence_to_wire(one) for one in each.evidence],
            )
            for each in preview.benign_samples
        ],
    )


def preview_from_wire(message: pb.Preview) -> Preview:
    """A message as a record."""
    return Preview(
        entries=message.entries,
        kinds=tuple(known(Kind, kind) for kind in message.kinds),
        revision=message.revision,
        screenings=_tally_from_wire(message.screenings),
        benign=_tally_from_wire(message.benign),
        screening_samples=tuple(
            PreviewedScreening(
                each.screening_id,
                known(Verdict, each.verdict),
                instant(each.create_time),
                known(Verdict, each.would_be),
                tuple(evidence_from_wire(one) for one in each.evidence),
            )
            for each in message.screening_samples
        ),
        benign_samples=tuple(
            PreviewedBenign(
                ref_from_wire(each.entry),
                known(Verdict, each.would_be),
                tuple(evidence_from_wire(one) for one in each.evidence),
            )
            for each in message.benign_samples
        ),
    )


def _tally_to_wire(tally: PreviewTally) -> pb.PreviewTally:
    return pb.PreviewTally(
        compared=tally.compared,
        partly_compared=tally.partly_compared,
        not_compared=tally.not_compared,
        gaps=[
            pb.PreviewGap(kind=to_wire(kind), count=count)
            for kind, count in sorted(tally.missing.items())
        ],
        would_block=tally.would_block,
        would_review=tally.would_review,
        without_effect=tally.without_effect,
        newly_held=tally.newly_held,
        newly_passed=tally.newly_passed,
    )


def _tally_from_wire(message: pb.PreviewTally) -> PreviewTally:
    return PreviewTally(
        compared=message.compared,
        partly_compared=message.partly_compared,
        not_compared=message.not_compared,
        missing={known(Kind, each.kind): each.count for each in message.gaps},
        would_block=message.would_block,
        would_review=message.would_review,
        without_effect=message.without_effect,
        newly_held=message.newly_held,
        newly_passed=message.newly_passed,
    )
