"""Copies that were altered so that no frame is like one of the entry's, over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.robustness.attacks import attack
from hashmatch.client import Client
from hashmatch.model.verdicts import Action, Kind, Part, Verdict, VerdictReason
from tests.conftest import RunningServer, serving
from tests.transcodes import transcoded

FILM = "pan_coffee.mp4"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[RunningServer]:
    """A bank that matches by whole frames, and one that matches by squares of them too."""
    with serving(tmp_path_factory.mktemp("altered"), workers="2") as running:
        with Client(running.address) as client:
            client.create_bank("whole", action=Action.BLOCK, thresholds={Kind.PDQ: 31})
            client.create_bank("squares", action=Action.BLOCK, thresholds={Kind.PDQ_PATCH: 40})
            for bank in ("whole", "squares"):
                client.add_entry(bank, media / "clips" / FILM, reference=FILM)
        yield running


@pytest.mark.parametrize(
    ("name", "filters", "banks"),
    [
        ("as it is", "null", {"whole", "squares"}),
        ("letterbox", "pad=iw:ih*1.4:0:(oh-ih)/2:color=black", {"whole", "squares"}),
        ("white frame", "pad=iw*1.2:ih*1.2:iw*0.1:ih*0.1:color=white", {"whole", "squares"}),
        ("crop", "crop=iw*0.75:ih*0.75:iw*0.05:ih*0.2", {"squares"}),
        ("mirrored crop", "hflip,crop=iw*0.8:ih*0.8:iw*0.15:ih*0.05", {"squares"}),
        ("box", "drawbox=x=0:y=ih*0.5:w=iw*0.9:h=ih*0.4:color=white:t=fill", {"squares"}),
    ],
)
def test_a_copy_is_found_by_what_is_left_of_it(
    name: str, filters: str, banks: set[str], server: RunningServer, media: Path
) -> None:
    """Whoever cuts, frames or covers a part of it could publish the rest."""
    copy = transcoded(media / "clips" / FILM, filters=filters, options={"preset": "veryfast"})
    with Client(server.address) as client:
        screening = client.screen(copy)
    assert screening.verdict is Verdict.BLOCK, name
    assert {each.entry.bank_name for each in screening.evidence} == banks
    for each in screening.evidence:
        framed = each.kind is Kind.PDQ and name in ("letterbox", "white frame")
        assert each.part is (Part.CONTENT if framed else Part.FULL)
        if each.kind is Kind.PDQ:
            first, last = each.segments[0], each.segments[-1]
            assert abs(first.media_start_ms - first.entry_start_ms) <= 1000
            assert abs(last.media_end_ms - last.entry_end_ms) <= 1000
    if banks == {"squares"}:
        (reason,) = screening.reasons
        assert reason.detail.startswith("parts of seconds ")


# Of a stretch's end that is shown by a frame, the next may be a sampling gap away; and only frames
# some way apart have squares, those of an entry 700 ms.
GAP_MS = 1000
SQUARES_MS = 700


@pytest.mark.parametrize("name", ["trim", "splice_3s", "speed", "reverse"])
@pytest.mark.parametrize("cropped", [False, True])
def test_evidence_says_which_seconds_show_which(
    name: str, cropped: bool, server: RunningServer, media: Path, tmp_path: Path
) -> None:
    """A reviewer would look at other seconds than those that match."""
    made = tmp_path / "made.mp4"
    film, host = media / "clips" / FILM, media / "clips" / "pan_astronaut.mp4"
    strength = attack(name, film, made, np.random.default_rng(3), host=host)
    filters = "crop=iw*0.8:ih*0.8:iw*0.05:ih*0.15" if cropped else "null"
    copy = transcoded(made, filters=filters, options={"preset": "veryfast"})
    with Client(server.address) as client:
        screening = client.screen(copy)
    # Not as a screening of the film tells it: one that is sure to block ends before the film does.
    with av.open(film) as container:
        assert container.duration is not None
        lasts_ms = container.duration * 1000 // av.time_base
    assert screening.verdict is Verdict.BLOCK
    told = [float(value) for value in strength.values()]

    def shown_ms(media_ms: int) -> float:
        if name == "trim":
            return media_ms + told[0] * lasts_ms
        if name == "splice_3s":
            return media_ms + 1000 * (told[1] - told[0])
        return media_ms * told[0] if name == "speed" else lasts_ms - media_ms

    for evidence in screening.evidence:
        assert evidence.kind is Kind.PDQ_PATCH or not cropped
        apart_ms = GAP_MS + (SQUARES_MS if evidence.kind is Kind.PDQ_PATCH else 0)
        for segment in evidence.segments:
            ends = sorted((shown_ms(segment.media_start_ms), shown_ms(segment.media_end_ms)))
            assert abs(segment.entry_start_ms - ends[0]) <= apart_ms
            assert abs(segment.entry_end_ms - ends[1]) <= apart_ms
        if name == "splice_3s":
            (segment,) = evidence.segments
            at_ms = 1000 * told[0]
            assert abs(segment.media_start_ms - at_ms) <= apart_ms
            assert segment.media_end_ms <= at_ms + 3000 + GAP_MS
            # Of what decided early the end is not known.
            if all(reason.code is not VerdictReason.DECIDED_EARLY for reason in screening.reasons):
                assert segment.media_end_ms >= at_ms + 3000 - apart_ms


def test_others_match_nothing(server: RunningServer, media: Path) -> None:
    """Clean uploads would be accused."""
    with Client(server.address) as client:
        for name in ("pan_astronaut.mp4", "pan_rocket.webm", "matroska.mkv", "mandelbrot.mp4"):
            assert client.screen(media / "clips" / name).verdict is Verdict.NO_MATCH, name


def test_what_was_screened_before_squares_were_asked_for_is_not_passed(
    tmp_path: Path, media: Path
) -> None:
    """A bank is told to look closer, and what was not looked at like that is published."""
    with serving(tmp_path, workers="1") as running, Client(running.address) as client:
        client.create_bank("bank", action=Action.BLOCK, thresholds={Kind.PDQ: 31})
        client.add_entry("bank", media / "clips" / FILM)
        screening = client.screen(media / "clips" / "pan_astronaut.mp4")
        assert screening.verdict is Verdict.NO_MATCH
        client.create_bank("closer", action=Action.BLOCK, thresholds={Kind.PDQ_PATCH: 40})
        client.add_entry("closer", media / "clips" / FILM)
        confirmed = client.confirm(screening.screening_id)
        assert confirmed.verdict is Verdict.INCONCLUSIVE
        assert [each.code for each in confirmed.reasons] == [VerdictReason.KIND_MISSING]
        again = client.screen(media / "clips" / "pan_astronaut.mp4")
        assert again.verdict is Verdict.NO_MATCH
        assert Kind.PDQ_PATCH in again.hash_versions
