"""The robustness benchmark: its uploads are what they are called, and its counts are right."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

from benchmarks.robustness import __main__ as command
from benchmarks.robustness import chance, vpdq
from benchmarks.robustness.attacks import ATTACKS, attack
from benchmarks.robustness.dataset import Case, Clip, Dataset, build
from benchmarks.robustness.evaluate import UPLOAD, Outcome, Report, evaluate
from benchmarks.robustness.making import LONG_SIDE, Material
from benchmarks.robustness.strength import by_strength
from benchmarks.robustness.vpdq import Rules
from fixtures.transcode import decode, transcode
from hashmatch.model.verdicts import Kind

# Attacks that are as strong every time.
_PLAIN = {"mirror", "reverse"}


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    """In this process: a pool of processes would cost more than the work."""
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture(scope="module")
def short(media: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A clip and a host, of two seconds each and small."""
    folder = tmp_path_factory.mktemp("short")
    for name in ("pan_astronaut.mp4", "pan_coffee.mp4"):
        transcode(media / "clips" / name, folder / name, filters="scale=160:90", end_s=2)
    return folder / "pan_astronaut.mp4", folder / "pan_coffee.mp4"


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_makes_the_same_upload_every_time(
    short: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    """A figure that got worse could be the uploads' doing instead of ours."""
    source, host = short
    one, two = (tmp_path / f"{number}{ATTACKS[name].suffix}" for number in (1, 2))
    strength = attack(name, source, one, np.random.default_rng(7), host=host)
    assert attack(name, source, two, np.random.default_rng(7), host=host) == strength
    assert one.read_bytes() == two.read_bytes()
    assert json.loads(json.dumps(strength)) == strength
    with av.open(str(one)) as container:
        shown = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert len(shown) >= 10
    assert max(shown[0]) <= LONG_SIDE
    assert set(shown) == {shown[0]}


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - _PLAIN))
def test_another_seed_attacks_otherwise(short: tuple[Path, Path], name: str) -> None:
    """Every clip would be altered in the same way, and one lucky value would decide the figure."""
    source, host = short
    made = [
        ATTACKS[name].make(Material.of(source, host, np.random.default_rng(seed)))
        for seed in range(12)
    ]
    assert len({json.dumps(upload.strength) for upload in made}) > 1


def test_a_rotation_tag_is_what_turns_the_clip_back(
    short: tuple[Path, Path], tmp_path: Path
) -> None:
    """The attack would be a quarter turn under another name."""
    source, host = short
    target = tmp_path / "tagged.mp4"
    turned: set[float | str] = set()
    for seed in itertools.takewhile(lambda _: len(turned) < 3, range(50)):
        rng = np.random.default_rng(seed)
        strength = attack("rotation_tag", source, target, rng, host=host)
        with av.open(str(target)) as container:
            frame = next(container.decode(video=0))
        assert strength["degrees"] == frame.rotation % 360
        upright = np.rot90(frame.to_ndarray(format="gray"), round(frame.rotation / 90))
        first = next(iter(decode(source))).to_ndarray(format="gray")
        assert np.abs(upright.astype(int) - first).mean() < 8
        turned.add(strength["degrees"])
    assert turned == {90, 180, 270}


def test_a_clean_intro_has_no_key_frame_after_its_first(
    short: tuple[Path, Path], tmp_path: Path
) -> None:
    """A decoder that looks at key frames alone would pass."""
    source, host = short
    target = tmp_path / "intro.mp4"
    attack("clean_intro", source, target, np.random.default_rng(1), host=host)
    with av.open(str(target)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert [packet.is_keyframe for packet in packets].index(True) == 0
        assert sum(packet.is_keyframe for packet in packets) == 1
        assert (container.duration or 0) >= 12_000_000


@pytest.fixture(scope="module")
def dataset(pool: Executor) -> Dataset:
    """The set without real clips."""
    return build(pool)


def test_no_family_is_on_both_sides(dataset: Dataset) -> None:
    """A clean clip would be accused rightly, and the benchmark would call it an error."""
    listed = {name for clip in dataset.listed for name in clip.family}
    clean = {name for clip in dataset.clean for name in clip.family}
    assert listed
    assert clean
    assert not listed & clean
    # Pans over the same photograph.
    families = [set(clip.family) for clip in dataset.clips.values()]
    assert {"fragmented.mp4", "pan_rocket.webm"} in families
    assert {"full_range.mp4", "two_streams.mkv"} in families
    assert abs(len(dataset.listed) - len(dataset.clean)) <= 1


def test_versions_of_one_film_are_one_family(media: Path, pool: Executor, tmp_path: Path) -> None:
    """The same, for clips that only their names or only their pictures give away."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    clips = media / "clips"
    names = {
        "one--film-short.mp4": "pan_coffee.mp4",
        "one--film-other-cut.mp4": "mandelbrot.mp4",
        "two--copy.mp4": "pan_astronaut.mp4",
    }
    for name, source in names.items():
        transcode(clips / source, corpus / name, filters="scale=-2:120", options={"crf": "30"})
    families = [set(clip.family) for clip in build(pool, corpus).clips.values()]
    assert {"pan_astronaut.mp4", "two--copy.mp4"} in families
    (film,) = (family for family in families if "one--film-short.mp4" in family)
    assert "one--film-other-cut.mp4" in film


def test_cases_cover_every_attack_and_hide_nothing_in_a_listed_clip(dataset: Dataset) -> None:
    """An attack would silently not be measured, or be found by what it was hidden in."""
    few, many = dataset.cases(0.1), dataset.cases(1.0)
    assert set(few) < set(many)
    assert len(set(many)) == len(many)
    assert few == dataset.cases(0.1)
    for cases in (few, many):
        assert {case.attack for case in cases if case.listed} == set(ATTACKS)
        unaltered = {case.source for case in cases if not case.attack}
        assert unaltered == {clip.name for clip in dataset.clean}
    for case in many:
        assert dataset.clips[case.source].listed == case.listed
        if case.attack:
            assert not dataset.clips[case.host].listed
            assert case.host != case.source


@pytest.fixture(scope="module")
def planted(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two listed and two clean clips, one of which is a copy of a listed one."""
    cache = tmp_path_factory.mktemp("planted")
    (cache / "uploads").mkdir()
    clips = media / "clips"
    made = {}
    for name, source, listed in (
        ("astronaut", "pan_astronaut.mp4", True),
        ("coffee", "pan_coffee.mp4", True),
        ("rocket", "pan_rocket.webm", False),
        ("copy", "pan_coffee.mp4", False),
    ):
        path = cache / f"{name}.mp4"
        options = {"crf": "34" if name == "copy" else "23"}
        transcode(clips / source, path, filters="scale=160:90", options=options, end_s=4)
        made[name] = Clip(name, path, (name,), listed)
    return Dataset(made, cache)


@pytest.fixture(scope="module")
def report(planted: Dataset, pool: Executor) -> Report:
    """What is measured on it."""
    cases = [
        Case("astronaut", True, "mirror", 1, "rocket"),
        Case("astronaut", True, "reencode", 1, "rocket"),
        Case("astronaut", True, "splice_3s", 1, "coffee"),
        Case("rocket", False),
        Case("copy", False),
    ]
    return evaluate(planted, cases, pool)


def test_a_lost_view_shows_in_the_recall(planted: Dataset, pool: Executor, report: Report) -> None:
    """Mirrored copies would pass, and the benchmark would not say so."""
    cases = [outcome.case for outcome in report.outcomes[:2]]
    blind = evaluate(planted, cases, pool, upload=replace(UPLOAD, turns=False, kinds=(Kind.PDQ,)))
    recalls = {
        recall.attack: (recall.cases, recall.ours, lost.ours)
        for recall, lost in zip(
            (each for each in report.by_attack if each.attack != "splice_3s"),
            blind.by_attack,
            strict=True,
        )
    }
    assert recalls == {"reencode": (1, 1, 1), "mirror": (1, 1, 0)}
    assert (blind.overall.cases, blind.overall.ours) == (2, 1)
    # vPDQ looks at no turns either.
    assert {each.attack: each.vpdq_any for each in blind.by_attack} == {"reencode": 1, "mirror": 0}


def test_a_clean_upload_that_is_blocked_counts_as_accused(report: Report) -> None:
    """Uploaders would be accused, and the benchmark would not say so."""
    accused = {each.case.source: each.accused for each in report.outcomes if not each.case.listed}
    assert accused == {"rocket": False, "copy": True}
    assert (report.clean_accused, report.clean_uploads.cases) == (1, 2)
    assert report.clean_uploads.vpdq_any == 1
    assert report.chance.nearest is not None
    assert report.chance.nearest <= 31


def test_a_block_for_another_entry_counts_as_wrong_first(report: Report) -> None:
    """Reviewers would be shown the wrong item, and the benchmark would not say so."""
    first, _, spliced = report.outcomes[:3]
    assert (first.found, first.right_first) == (True, True)
    assert (spliced.found, spliced.right_first, spliced.verdict) == (True, False, "BLOCK")
    assert report.wrong_first == 1
    assert spliced.distance is not None
    assert spliced.distance <= 31


def test_a_report_can_be_printed_and_kept(report: Report) -> None:
    """A long run would end in an error, or in a table that does not fit a terminal."""
    kept = json.loads(json.dumps(command.to_json(report)))
    assert kept["overall"]["cases"] == 3
    assert kept["outcomes"][0]["case"]["attack"] == "mirror"
    printed = io.StringIO()
    command.show(report, Console(file=printed, width=80))
    lines = printed.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == "attack n ours block vPDQ any 80 % q 80 % r".split()
    assert ["mirror", "1", "100%", "100%", "0%", "0%", "0%"] in [line.split() for line in lines]


def outcome(attack: str, found: bool, **strength: float | str) -> Outcome:
    """Of a listed clip."""
    case = Case("clip", listed=True, attack=attack)
    return Outcome(
        case, dict(strength), "", found, found, found, found, None, Rules(False, False, False)
    )


def test_strengths_are_ordered_by_the_harm_they_do() -> None:
    """A heat map would show what a strength hides in the wrong place."""
    outcomes = [outcome("tilt", abs(turn) < 4, degrees=turn) for turn in (-5, 2, 4, -3, 6, 3, -2)]
    outcomes += [outcome("scale", side > 200, long_side=side) for side in (120, 280)]
    outcomes += [outcome("codec_mp4", True, codec=name) for name in ("mpeg4", "libx265")]
    outcomes += [outcome("mirror", True)]
    levels = {each.attack: each for each in by_strength(outcomes)}
    assert list(levels) == ["codec_mp4", "scale", "mirror", "tilt"]  # As attacks are listed.
    tilt = levels["tilt"]
    assert tilt.by == "degrees"
    assert [cell.found for cell in tilt.cells] == [2, 2, 0, 0]
    assert [cell.cases for cell in tilt.cells] == [2, 2, 1, 2]
    assert [cell.label for cell in tilt.cells] == ["-2 to 2", "-3 to 3", "4", "-5 to 6"]
    assert [cell.label for cell in levels["scale"].cells] == ["280", "120"]
    assert [cell.label for cell in levels["codec_mp4"].cells] == ["libx265", "mpeg4"]
    assert [cell.label for cell in levels["mirror"].cells] == ["always"]


def test_chance_counts_every_frame_by_its_nearest_view() -> None:
    """The false-positive rate would be told too low or too high."""
    frames = np.zeros((2, 2, 32), np.uint8)
    frames[0, 1] = 0xFF  # One view all zeros, one all ones; the other frame has zeros twice.
    entries = np.zeros((3, 32), np.uint8)
    entries[0, :2] = 0xFF  # 16 bits from zeros.
    entries[1, :30] = 0xFF  # 16 bits from ones, 240 from zeros.
    entries[2, :16] = 0xFF  # 128 bits from both.
    measured = chance.curve(list(frames), entries)
    assert (measured.frames, measured.digests, measured.pairs) == (2, 3, 6)
    assert [measured.pairs_within[t] for t in (15, 16, 127, 128)] == [0, 3, 3, 5]
    assert [measured.frames_within[t] for t in (15, 16, 128)] == [0, 2, 2]
    assert measured.nearest == 16
    assert measured.share_of_frames(16) == 1
    assert measured.expected(16, digests=100) == 50
    assert not measured.is_bound(16)
    # None of six pairs: at most three in six, by the rule of three.
    assert measured.expected(15, digests=100) == 50
    assert measured.is_bound(15)


def test_vpdq_matches_by_the_parts_that_its_rules_name() -> None:
    """We would be compared with rules that nobody uses."""
    entry = np.random.default_rng(1).integers(0, 256, (5, 32), np.uint8)
    other = np.random.default_rng(2).integers(0, 256, (5, 32), np.uint8)
    near = entry.copy()
    near[:, :3] ^= 0xFF  # 24 bits.
    far = entry.copy()
    far[:, :4] ^= 0xFF  # 32 bits.
    assert vpdq.shares(near, entry).rules == (True, True, True)
    assert vpdq.shares(far, entry).rules == (False, False, False)
    assert vpdq.shares(np.concatenate([near, other]), entry).rules == (True, False, True)
    assert vpdq.shares(near[:2], entry).rules == (True, True, False)
    assert vpdq.shares(near[:0], entry).rules == (False, False, False)


@pytest.mark.parametrize("name", ["doorknob-hd-no-bar", "pattern-sd-grey-bar"])
def test_vpdq_hashes_are_those_of_the_reference(corpus: Path, reference: Path, name: str) -> None:
    """We would be compared with a yardstick of our own making."""
    rows = [line.split(",") for line in (reference / "vpdq" / f"{name}.txt").read_text().split()]
    wanted = [
        np.frombuffer(bytes.fromhex(digest), np.uint8)
        for number, quality, digest, _ in rows
        if int(number) % 30 == 0 and int(quality) >= 50
    ]
    ours = vpdq.hashes(corpus / f"ThreatExchange--{name}.mp4")
    assert len(ours) == len(wanted)
    apart = np.bitwise_count(np.array(wanted)[:, None] ^ ours[None]).sum(-1, np.int64)
    assert apart.min(1).max() <= 10
