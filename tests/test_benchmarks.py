"""The benchmarks turn red when something got worse, and only then."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio

from benchmarks import __main__ as command
from benchmarks import report
from benchmarks.again import confirmed
from benchmarks.baseline import Reference, accepted, compare, reference
from benchmarks.floors import FLOORS, Floor
from benchmarks.functions import suite
from benchmarks.harness import Row, row
from benchmarks.load import Load, Sample, closed_loop, open_loop
from benchmarks.load_rows import load_rows
from benchmarks.processor import of_this_machine, parsed
from benchmarks.results import BASELINES, Result, baselines, measured_now, read, write
from hashmatch.client import AsyncClient, Client
from hashmatch.engine.hashing import pdq
from hashmatch.model.verdicts import Action, Verdict
from hashmatch.v1 import common_pb2
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.v1 import screening_service_pb2_grpc as pb_grpc
from hashmatch.wire.status import TAKEN_KEY
from tests.conftest import ROOT, RunningServer

NOISE = 0.08  # Standard deviation of one measure on a noisy machine, as a part of it.


def measured(rng: np.random.Generator, name: str, seconds: float, *, rounds: int = 31) -> Row:
    """A row whose subject takes ``seconds`` and whose yardstick takes one, on a noisy machine."""
    noise = np.maximum(0.2, rng.normal(1, NOISE, (2, rounds)))
    return row(name, "", "one second", list(seconds * noise[0]), list(noise[1]))


@pytest.mark.parametrize("seed", range(20))
def test_an_unchanged_tree_is_not_red(seed: int) -> None:
    """Developers would learn to ignore a benchmark that cries wolf."""
    rng = np.random.default_rng(seed)
    before = [measured(rng, name, 0.5) for name in ("pdq", "search")]
    after = [measured(rng, name, 0.5) for name in ("pdq", "search")]
    assert not [finding for finding in compare(after, before) if finding.is_red]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("slower", ["pdq", "search"])
def test_a_sleep_of_30_percent_turns_its_row_red_and_no_other(slower: str, seed: int) -> None:
    """A hash or a search that got a third slower would land unseen."""
    rng = np.random.default_rng(seed)
    names = ("pdq", "search")
    before = [measured(rng, name, 0.5) for name in names]
    after = [measured(rng, name, 0.5 * (1.3 if name == slower else 1)) for name in names]
    red = [finding.name for finding in compare(after, before) if finding.is_red]
    assert red == [slower]


# A function to measure, on a machine whose work takes a known time: no test waits or hopes.
FUNCTIONS = """
import pytest

now, order = 0.0, []

def work(name, seconds):
    global now
    now += seconds
    order.append(name)

@pytest.mark.benchmark(timer=lambda: now)
def test_slow(against):
    against(
        "slow", "", "one second", lambda _: work("ours", {seconds}), lambda _: work("theirs", 1.0),
        rounds=3, arguments=lambda: (work("set-up", 5.0),), calls=2,
    )
    assert order == ["set-up", "theirs", "ours"] * 4
"""


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `make bench` runs: pytest-benchmark measures nothing beside other tests."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def functions_row(folder: Path, seconds: float) -> Row:
    """Measures a function that takes ``seconds``."""
    folder.mkdir()
    (folder / "conftest.py").write_text("from benchmarks.functions.suite import against\n")
    (folder / f"test_{folder.name}.py").write_text(FUNCTIONS.format(seconds=seconds))
    ((made,),) = suite.measure(tests=[str(folder)]).values()
    return made


@pytest.mark.usefixtures("alone")
def test_functions_are_timed_in_turns_with_their_yardstick(tmp_path: Path) -> None:
    """A third more time in a function would not show in its row, or its set-up would."""
    before = functions_row(tmp_path / "before", 0.5)
    assert (before.name, before.value, before.yardstick) == ("slow", 0.25, 1.0)
    assert before.ratio == 4.0
    after = functions_row(tmp_path / "after", 0.65)
    (finding,) = compare([after], [before])
    assert finding.state == "short"


@pytest.mark.usefixtures("alone")
def test_a_function_that_fails_is_not_left_out(tmp_path: Path) -> None:
    """A benchmark that breaks would look like one that was deleted."""
    with pytest.raises(RuntimeError, match="test_broken"):
        functions_row(tmp_path / "broken", float("nan"))  # "nan" is no name there.


@pytest.mark.usefixtures("alone")
def test_the_pdq_row_times_the_real_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row could measure something else than the hash."""
    calls = 0
    digest = pdq.digest

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return digest(*arguments, **options)

    monkeypatch.setattr(pdq, "digest", counted)
    ((made,),) = suite.measure("-k", "test_pdq").values()
    assert made.name == "pdq"
    assert calls >= 31


class Lying(pb_grpc.ScreeningServiceServicer):
    """A service that finds nothing in every n-th upload, or never answers it."""

    def __init__(self, each: int, *, hangs: bool = False) -> None:
        self._each, self._hangs, self._count = each, hangs, 0

    async def ScreenUpload(
        self, request_iterator: AsyncIterator[pb.ScreenUploadRequest], context: Any
    ) -> pb.ScreenUploadResponse:
        await context.send_initial_metadata(((TAKEN_KEY, "1"),))
        async for _ in request_iterator:
            pass
        self._count += 1
        fails = self._count % self._each == 0
        if fails and self._hangs:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        blocked = not fails
        return pb.ScreenUploadResponse(screening=_screening(blocked))


def _screening(blocked: bool) -> common_pb2.Screening:
    made = common_pb2.Screening(screening_id="scr_x", judgement=1)
    made.verdict = common_pb2.VERDICT_BLOCK if blocked else common_pb2.VERDICT_INCONCLUSIVE
    code = common_pb2.VERDICT_REASON_EXACT_MATCH if blocked else common_pb2.VERDICT_REASON_CORRUPT
    made.reasons.add(code=code, detail="made up")
    if blocked:
        made.evidence.add(
            action=common_pb2.ACTION_BLOCK,
            kind=common_pb2.KIND_SHA256,
            view=common_pb2.View(part=common_pb2.PART_FULL, turn=common_pb2.TURN_NONE),
        )
    return made


SAMPLES = [Sample("clip", b"x" * 1000, Verdict.BLOCK)]


async def rows_of(service: Lying) -> list[Row]:
    """The load rows, measured against a service."""
    server = aio.server()
    pb_grpc.add_ScreeningServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        address = f"127.0.0.1:{port}"
        return await load_rows(
            address,
            SAMPLES,
            lambda: 0.01,
            rounds=2,
            seconds=0.3,
            ordinary=address,
            flood_size=50,
        )
    finally:
        await server.stop(None)


async def test_a_wrong_verdict_under_load_turns_the_load_rows_red() -> None:
    """A server that is fast because it does not look would be praised for it."""
    rows = await rows_of(Lying(each=2))  # type: ignore[abstract]
    assert [row.name for row in rows][:2] == ["service_throughput", "service_latency_50_p50"]
    assert all("wrong" in row.fault for row in rows)
    assert all(finding.state == "fault" for finding in compare(rows, rows))


async def test_refused_uploads_turn_the_load_rows_red() -> None:
    """A server could reach its figures by turning uploads away."""
    rows = await rows_of(Lying(each=2, hangs=True))  # type: ignore[abstract]
    *others, of_flood, plain = rows
    assert all("refused" in row.fault for row in others)
    # Of a flood most are to be turned away.
    assert (of_flood.name, plain.name) == ("service_flood_p99", "service_flood_plain_p99")


async def test_right_answers_under_load_are_no_fault() -> None:
    """Every load would be red, so that no load could be told from another."""
    rows = await rows_of(Lying(each=10**9))  # type: ignore[abstract]
    assert [row.fault for row in rows] == [""] * 9


def test_what_is_not_answered_is_lost() -> None:
    """An upload that vanishes would not be missed."""
    load = Load(sent=3, refusals=["NOT_READY"])
    assert load.lost == 2
    assert load.fault == "2 lost, 1 refused"


async def test_arrivals_do_not_wait_for_answers() -> None:
    """A stalled server would be sent less, and its queue would never show."""

    class Stalled(Lying):
        async def ScreenUpload(
            self, request_iterator: AsyncIterator[pb.ScreenUploadRequest], context: Any
        ) -> pb.ScreenUploadResponse:
            arrived.append(asyncio.get_running_loop().time())
            await gate.wait()
            return pb.ScreenUploadResponse(screening=_screening(blocked=True))

    arrived: list[float] = []
    gate = asyncio.Event()
    server = aio.server()
    stalled = Stalled(each=1)  # type: ignore[abstract]
    pb_grpc.add_ScreeningServiceServicer_to_server(stalled, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}", max_beginning=30) as client:
        loading = asyncio.create_task(open_loop(client, SAMPLES, rate=100, seconds=0.3))
        while len(arrived) < 30:
            await asyncio.sleep(0.01)
        gate.set()
        load = await loading
    await server.stop(None)
    assert (load.sent, load.lost, load.wrong) == (30, 0, 0)


async def test_loads_of_a_real_server_are_right(
    server: RunningServer, client: Client, media: Path
) -> None:
    """The load generator would call a right server wrong, or lose its answers."""
    bank = client.create_bank("load", action=Action.BLOCK)
    client.add_entry(bank.name, media / "images" / "coffee.png")
    samples = [
        Sample("listed", (media / "images" / "coffee.png").read_bytes(), Verdict.BLOCK),
        Sample("clean", (media / "images" / "rocket.bmp").read_bytes(), Verdict.NO_MATCH),
    ]
    async with AsyncClient(server.address) as asynchronous:
        load, rate = await closed_loop(asynchronous, samples, concurrency=3, seconds=1.0)
        opened = await open_loop(asynchronous, samples, rate=20, seconds=1.0)
    client.archive_bank(bank.name)
    assert rate > 0
    assert load.fault == ""
    # On a busy machine some of those that wait for nobody may be too many.
    assert opened.broken == ""
    assert opened.sent == 20


def result_of(*rows: Row, command: str = "make bench") -> Result:
    """A result with some rows."""
    return replace(measured_now(rows, command, {}), commit="abc")


def plain(name: str, ratio: float, spread: float = 0.02, fault: str = "") -> Row:
    """A row with a given ratio."""
    return Row(name, name, "s", 1.0, "one second", ratio, ratio, spread, fault)


@pytest.mark.parametrize(
    ("ratios", "state", "tries"), [([3.0], "ok", 1), ([1.0, 1.9], "ok", 2), ([1.5] * 2, "short", 3)]
)
def test_what_is_short_is_measured_again(ratios: list[float], state: str, tries: int) -> None:
    """Noise would turn a run red, or what got slower would get away with one lucky measure."""
    baseline = [plain("pdq", 2.0), plain("search", 1.0)]
    rows = (plain("pdq", ratios[0]), plain("search", 1.0))
    asked: list[Collection[str]] = []

    def again(names: Collection[str]) -> list[Row]:
        asked.append(list(names))
        return [plain("pdq", ratios[-1] - 0.1 * (len(asked) - 1)), plain("search", 9.0)]

    made = confirmed(rows, baseline, again)
    assert asked == [["pdq"]] * (tries - 1)
    assert [row.ratio for row in made] == [max(ratios), 1.0]
    assert made[0].more == ({"measured": tries} if tries > 1 else {})
    assert [each.state for each in compare(made, baseline)] == [state, "ok"]


def test_a_fault_does_not_go_away_by_measuring_again() -> None:
    """An answer that is lost once in three runs would never be seen."""
    baseline = [plain("flood", 2.0)]
    fault = plain("flood", 5.0, fault="1 lost")
    (kept,) = confirmed((fault,), baseline, lambda _: pytest.fail("measured again"))
    assert kept is fault
    (found,) = confirmed((plain("flood", 1.0),), baseline, lambda _: [fault])
    assert found.fault == "1 lost"


def test_recall_is_not_tried_until_it_fits() -> None:
    """It is the same every time, and takes minutes."""
    recall = replace(plain("recall_all", 0.5, 0.0), media="80 clips")
    baseline = [replace(recall, ratio=0.9)]
    assert confirmed((recall,), baseline, lambda _: pytest.fail("measured again")) == (recall,)


def test_a_row_that_is_gone_or_new_is_said() -> None:
    """A benchmark could be deleted to make the run green."""
    findings = {each.name: each for each in compare([plain("new", 1)], [plain("old", 1)])}
    assert findings["old"].state == "missing"
    assert findings["old"].is_red
    assert findings["new"].state == "new"
    assert not findings["new"].is_red
    assert not [each for each in compare([], [plain("old", 1)], whole=False) if each.is_red]


def test_recall_is_compared_on_the_same_clips_alone() -> None:
    """A run without the corpus would be red, or its figures would be held against others."""
    corpus = replace(plain("recall_all", 0.9, 0.0), media="80 clips")
    fixtures = replace(plain("recall_all", 0.5, 0.0), media="20 clips")
    (finding,) = compare([fixtures], [corpus])
    assert finding.state == "new"
    (finding,) = compare([replace(corpus, ratio=0.8)], [corpus, fixtures])
    assert finding.state == "short"
    gone = compare([corpus], [corpus, replace(corpus, name="recall_mirror")])
    assert [each.state for each in gone] == ["ok", "missing"]


def test_accepting_runs_keeps_the_rows_of_other_clips() -> None:
    """To accept a run on the fixtures would throw the corpus's figures away, or mix the two."""
    corpus = replace(plain("recall_all", 0.9, 0.0), media="80 clips")
    fixtures = replace(plain("recall_all", 0.5, 0.0), media="20 clips")
    gone = plain("removed", 1.0)
    once = accepted([result_of(plain("pdq", 2), corpus)], "first", [gone])
    assert [row.key for row in once.rows] == [("pdq", ""), ("recall_all", "80 clips")]
    mixed = [result_of(plain("pdq", 2), fixtures), result_of(plain("pdq", 2), corpus)]
    newest_first = [row.media for row in accepted(mixed, "first").rows]
    assert newest_first == ["", "80 clips", "20 clips"]
    both = accepted([result_of(plain("pdq", 4), fixtures)], "then", once.rows)
    assert {row.key: row.ratio for row in both.rows} == {
        ("pdq", ""): 4,
        ("recall_all", "20 clips"): 0.5,
        ("recall_all", "80 clips"): 0.9,
    }


def test_a_baseline_has_a_reason_and_no_fault() -> None:
    """A worse figure could become the rule without anyone saying why."""
    with pytest.raises(ValueError, match="reason"):
        accepted([result_of(plain("pdq", 2))], " ")
    with pytest.raises(ValueError, match="1 lost"):
        accepted([result_of(plain("pdq", 2, fault="1 lost"))], "faster")
    baseline = accepted([result_of(plain("pdq", 2)), result_of(plain("pdq", 3))], "faster")
    assert baseline.reason == "faster"
    assert baseline.rows[0].ratio == 2.5
    assert baseline.rows[0].spread == pytest.approx(0.2)


def test_results_survive_the_file(tmp_path: Path) -> None:
    """A run could not be compared with the next."""
    result = result_of(plain("pdq", 2))
    write(result, tmp_path / "a" / "latest.json")
    assert read(tmp_path / "a" / "latest.json") == result


def test_reports_name_what_is_red(tmp_path: Path) -> None:
    """A red run would leave its reader to search for the cause."""
    result = result_of(plain("pdq", 1.0), plain("search", 2.0))
    before = [plain("pdq", 2.0), plain("search", 2.0)]
    findings = compare(result.rows, before)
    text = report.summary(result, findings)
    assert "**pdq** short: 2.00 -> 1.00 (-50%)" in text
    assert "**search**" not in text
    history = json.loads(report.history(result.rows))
    assert {each["name"] for each in history} == {"pdq", "search"}
    detailed = replace(
        result,
        details={
            "recall": {"mirror": {"hashmatch": 1.0, "vPDQ any": 0.1}},
            "strength": {
                "mirror": {"by": "", "cells": [{"label": "always", "cases": 2, "found": 2}]},
                "scale": {
                    "by": "long_side",
                    "cells": [
                        {"label": "200 to 280", "cases": 2, "found": 2},
                        {"label": "120", "cases": 1, "found": 0},
                    ],
                },
            },
            "false_positives": {"threshold": [30, 31], "at_10m": [1e-9, 1e-8]},
        },
    )
    drawn = report.plots(detailed, before, tmp_path)
    assert [path.name for path in drawn] == [
        "ratios.png",
        "recall.png",
        "recall_by_strength.png",
        "false_positives.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_what_is_never_found_can_be_reported(tmp_path: Path) -> None:
    """An attack that hides everything would break the run that says so."""
    result = result_of(plain("recall_tilt", 0.0, spread=0.0), plain("pdq", 2.0))
    baseline = accepted([result, result], "first")
    findings = compare(result.rows, baseline.rows)
    assert [finding.state for finding in findings] == ["ok", "ok"]
    assert report.plots(result, (), tmp_path)
    assert report.plots(result, baseline.rows, tmp_path)
    found = compare([plain("recall_tilt", 0.5), plain("pdq", 2.0)], baseline.rows)
    assert not [finding for finding in found if finding.is_red]


def test_the_readme_shows_the_accepted_figures() -> None:
    """The README would boast of figures that nobody measured."""
    text = (ROOT / "README.md").read_text()
    begin, end = map(re.escape, report.README_MARKS)
    (section,) = re.findall(f"{begin}\n\n(.*?)\n\n{end}", text, re.DOTALL)
    assert section == report.measured(baselines(BASELINES)[-1])


# A figure of one processor says little of another


GENOA = """processor	: 0
vendor_id	: AuthenticAMD
cpu family	: 25
model		: 17
model name	: AMD EPYC
stepping	: 1
flags		: fpu sse2 avx avx2 avx512f avx512bw avx512_vpopcntdq sha_ni

processor	: 1
vendor_id	: AuthenticAMD
"""
GRAVITON = """processor	: 0
BogoMIPS	: 2100.00
Features	: fp asimd aes sha1 sha2 sve
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x1
CPU part	: 0xd40
CPU revision	: 1
"""
FLOOR = {"pdq": Floor(1.5, "a promise")}


def test_processors_of_one_name_are_told_apart() -> None:
    """A run would be held against the figures of a machine that is a third faster."""
    genoa = parsed(GENOA, 2)
    assert (genoa.name, genoa.family, genoa.model, genoa.stepping) == ("AMD EPYC", "25", "17", "1")
    assert genoa.features == ("avx2", "avx512f", "avx512bw", "avx512_vpopcntdq", "sha_ni")
    others = [
        parsed(GENOA.replace("model\t\t: 17", "model\t\t: 1"), 2),
        parsed(GENOA.replace("stepping\t: 1", "stepping\t: 2"), 2),
        parsed(GENOA.replace(" avx512f avx512bw avx512_vpopcntdq", ""), 2),
        parsed(GENOA, 4),
        parsed(GRAVITON, 2),
        parsed("", 2),
    ]
    assert len({genoa.key, *(other.key for other in others)}) == 7
    assert parsed(GENOA.replace("fpu sse2", "fpu sse2 syscall"), 2) == genoa
    graviton = others[4]
    assert (graviton.vendor, graviton.model, graviton.features) == (
        "0x41",
        "0xd40",
        ("asimd", "sve", "sha2"),
    )
    assert "family 25 model 17 stepping 1" in genoa.described
    assert re.fullmatch(r"[a-z0-9-]+", genoa.key)


def of_processor(key: str, time: str, *rows: Row) -> Result:
    """A baseline of a processor."""
    made = result_of(*rows)
    return replace(made, machine={**made.machine, "processor_key": key}, time=time)


def test_each_processor_has_a_baseline_of_its_own(tmp_path: Path) -> None:
    """To accept a run on one machine would throw away, or set, what holds on another."""
    recall = replace(plain("recall_all", 0.9, 0.0), media="80 clips")
    real = replace(plain("views_corpus", 0.7), media="68 files")
    older = of_processor("slow", "2026-01-01", plain("pdq", 2.0), recall, real)
    newer = of_processor("fast", "2026-02-01", plain("pdq", 4.0))
    write(newer, tmp_path / "fast.json")
    write(older, tmp_path / "slow.json")
    both = baselines(tmp_path)
    assert both == [older, newer]
    slow, fast, unknown = (reference(both, key, FLOOR) for key in ("slow", "fast", "other"))
    assert (slow.known, fast.known, unknown.known) == (True, True, False)
    run = [plain("pdq", 2.0)]
    assert [each.state for each in compare(run, slow, whole=False)] == ["ok"]
    assert [each.state for each in compare(run, fast, whole=False)] == ["short"]
    assert [each.state for each in compare(run, unknown, whole=False)] == ["floor"]
    # What depends on media alone is the same everywhere; how long real clips take is not.
    for held in (slow, fast, unknown):
        (found,) = compare([replace(recall, ratio=0.5)], held, whole=False)
        assert found.state == "short"
    assert {row.name for row in fast.rows} == {"pdq", "recall_all"}
    assert not reference([], "other", FLOOR).known


def test_a_floor_decides_where_a_processor_is_not_known() -> None:
    """An unchanged tree would be red on a new machine, or a broken one green."""
    held = Reference([plain("pdq", 9.0)], known=False, floors=FLOOR)
    states = {
        ratio: compare([plain("pdq", ratio)], held)[0] for ratio in (9.0, 2.0, 1.48, 1.4, 0.1)
    }
    assert [each.is_red for each in states.values()] == [False, False, False, True, True]
    assert states[1.4].detail == "1.40, the floor is 1.5 (a promise)"
    (finding,) = compare([plain("pdq", 2.0, fault="1 lost")], held)
    assert finding.state == "fault"
    (missing,) = compare([], held)
    assert missing.is_red
    # What falls short of a floor is measured again like anything else.
    again = confirmed((plain("pdq", 1.0),), held, lambda _: [plain("pdq", 2.0)])
    assert [row.ratio for row in again] == [2.0]


def test_a_floor_holds_where_a_processor_is_known_too() -> None:
    """One accepted run after the other could wear a promise down."""
    held = Reference([plain("pdq", 1.0)], floors=FLOOR)
    (finding,) = compare([plain("pdq", 1.0)], held)
    assert (finding.state, finding.is_red) == ("short", True)


def test_the_time_that_real_clips_take_is_measured_again() -> None:
    """Noise in the one row of the corpus's own time would turn a run red at once."""
    real = replace(plain("views_corpus", 0.7), media="68 files")
    slow = replace(real, ratio=0.3)
    assert confirmed((slow,), [real], lambda _: [real])[0].ratio == 0.7


def test_every_figure_has_a_floor_that_was_reached() -> None:
    """On a processor that is not known a row without one could be anything."""
    for baseline in baselines(BASELINES):
        timed = [row for row in baseline.rows if not row.is_exact]
        assert timed
        for each in timed:
            assert each.ratio >= FLOORS[each.name].ratio, each.name
    assert FLOORS["hash_clip_each_second"].ratio >= 6
    assert FLOORS["hash_clip_one"].ratio >= 2.3
    assert all(floor.ratio > 0 and floor.source for floor in FLOORS.values())


@pytest.mark.parametrize(("key", "ratio", "red"), [("own", 9, 1), ("own", 12, 0), ("other", 9, 0)])
def test_the_command_says_what_a_run_is_held_against(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    ratio: float,
    red: int,
) -> None:
    """A green run on a new machine would be taken for one without any loss."""
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(command, "BASELINES", tmp_path / "baselines")
    mine = of_this_machine().key if key == "own" else "other"
    write(of_processor(mine, "2026-01-01", plain("hash_clip_each_second", 12)), tmp_path / "b.json")
    (tmp_path / "baselines").mkdir()
    (tmp_path / "b.json").rename(tmp_path / "baselines" / "b.json")
    made = result_of(plain("hash_clip_each_second", ratio))
    assert made.machine["processor_key"] == of_this_machine().key
    assert command._report(made, whole=True) == red
    said = " ".join(capsys.readouterr().out.split())
    summary = (tmp_path / "results" / "summary.md").read_text()
    for text in (said, summary):
        assert ("no baseline of this processor" in text) == (key == "other")
    low = result_of(plain("hash_clip_each_second", 5))
    assert command._report(low, whole=True) == 1
