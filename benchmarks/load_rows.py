"""Rows of a service under load: how much it takes, and how long its callers wait meanwhile."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.harness import Row, row
from benchmarks.load import Load, Sample, closed_loop, flood, open_loop
from benchmarks.plain import PlainClient
from hashmatch.client import AsyncClient

__all__ = ["load_rows"]

_CONCURRENCIES: Final = (1, 2, 4, 8, 12)
_PARTS: Final = (50, 90)  # Percent of the most that the service takes.
_PERCENTILES: Final = (50, 95, 99)
_LATE_SECONDS: Final = 1.0
_FLOOD: Final = 2000


async def load_rows(
    address: str,
    samples: Sequence[Sample],
    single: Callable[[], float],
    *,
    rounds: int,
    seconds: float,
    ordinary: str,
    flood_size: int = _FLOOD,
) -> list[Row]:
    """``service_throughput``, ``service_latency_*``, ``service_flood_p99`` and ``..._plain_p99``.

    The server at ``address`` refuses nothing, that at ``ordinary`` has the settings of every day.
    A flood is ``flood_size`` uploads at once.
    ``single`` gives the seconds that one upload takes in one thread without a server. After a
    rising concurrency, which finds the one that the service takes most at, every round measures
    the yardstick, the throughput and the latency at parts of that throughput, each for
    ``seconds``: so all that a row compares met the same minute of the machine.
    """
    loads: list[Load] = []
    yardsticks: list[float] = []
    each_upload: list[float] = []
    latencies: dict[int, list[Load]] = {part: [] for part in _PARTS}
    floods: list[Load] = []
    plain: list[Load] = []  # Of a client that holds nothing back.
    rising: dict[int, float] = {}
    async with (
        # Nothing is held back where arrivals must not wait for answers.
        AsyncClient(address, max_beginning=_FLOOD) as client,
        AsyncClient(ordinary) as flooded,
        PlainClient(ordinary) as other,
    ):
        for concurrency in _CONCURRENCIES:
            # Half as long: the figure itself is measured below.
            load, rising[concurrency] = await closed_loop(client, samples, concurrency, seconds / 2)
            loads.append(load)
        best = max(rising, key=rising.__getitem__)
        for number in range(rounds):
            yardsticks.append(statistics.median(single() for _ in range(3)))
            load, rate = await closed_loop(client, samples, best, seconds)
            loads.append(load)
            each_upload.append(1 / rate if rate else float("inf"))
            for part in _PARTS:
                load = await open_loop(client, samples, rate * part / 100, seconds, seed=number)
                latencies[part].append(load)
            floods.append(await flood(flooded, samples, flood_size))
            plain.append(await flood(other, samples, flood_size))
    cores = os.cpu_count() or 1
    rows = [
        row(
            "service_throughput",
            f"an upload of mixed clips, {best} at a time",
            f"one thread's time over {cores} cores",
            each_upload,
            [each / cores for each in yardsticks],
            fault=_fault(loads),
            more={f"uploads/s at {number}": rate for number, rate in rising.items()},
        )
    ]
    for part in _PARTS:
        rows += _latency(part, latencies[part], yardsticks)
    busy = latencies[max(_PARTS)]
    return [
        *rows,
        _flood_row("service_flood_p99", "", floods, busy, flood_size),
        _flood_row("service_flood_plain_p99", " by plain gRPC", plain, busy, flood_size),
    ]


def _flood_row(
    name: str, how: str, floods: Sequence[Load], busy: Sequence[Load], flood_size: int
) -> Row:
    """What is taken of a flood is answered nearly as soon as at high load; the rest is refused."""
    answered = sum(len(load.answers) for load in floods)
    return row(
        name,
        f"{flood_size} uploads at once{how}: last byte to verdict, 99th percentile",
        f"at {max(_PARTS)} % load",
        [load.percentiles(99)[0] for load in floods],
        [max(1e-4, load.percentiles(99)[0]) for load in busy],
        fault=next((load.broken for load in floods if load.broken), ""),
        more={"answered": float(answered), "sent": float(flood_size * len(floods))},
    )


def _latency(part: int, loads: Sequence[Load], yardsticks: Sequence[float]) -> list[Row]:
    return [
        row(
            f"service_latency_{part}_p{percentile}",
            f"last byte to verdict at {part} % load, {percentile}th percentile",
            "one upload in one thread",
            [max(1e-4, load.percentiles(percentile)[0]) for load in loads],
            yardsticks,
            fault=_fault(loads),
            more={
                "late": float(sum(load.late(_LATE_SECONDS) for load in loads)),
                "sent": float(sum(load.sent for load in loads)),
            },
        )
        for percentile in _PERCENTILES
    ]


def _fault(loads: Sequence[Load]) -> str:
    return next((load.fault for load in loads if load.fault), "")
