"""Runs the functions of this folder under pytest-benchmark and takes the rows they make.

They can be run by hand too, with all that pytest-benchmark offers:
``pytest -n 0 benchmarks/functions -k pdq --benchmark-cprofile=tottime``.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.harness import Row, row

__all__ = ["Against", "against", "measure"]

_HERE: Final = Path(__file__).resolve().parent
_CONFIGURATION: Final = _HERE.parent.parent / "pyproject.toml"
_PROPERTY: Final = "row"


class Against:
    """Measures a function and its yardstick in turns, so that both meet the same noise."""

    def __init__(self, benchmark: BenchmarkFixture, node: pytest.Item) -> None:
        marker = node.get_closest_marker("benchmark")
        self._clock: Callable[[], float] = (marker.kwargs if marker else {}).get(
            "timer", time.perf_counter
        )
        self._benchmark, self._node = benchmark, node

    def __call__(
        self,
        name: str,
        what: str,
        yardstick_name: str,
        subject: Callable[..., object],
        yardstick: Callable[..., object],
        *,
        rounds: int,
        warm_up: bool = True,
        arguments: Callable[[], tuple[Any, ...]] = tuple,
        calls: float = 1,
        yardstick_calls: float = 1,
        media: str = "",
    ) -> Row:
        """Makes the row ``name``; once in a test.

        In each of ``rounds``, after one that does not count if ``warm_up``, the yardstick and then
        the subject are called with what ``arguments`` gives. Of calls that take seconds, what is
        met for the first time is too little to see, and such a round is time lost. ``calls`` and
        ``yardstick_calls`` say how much of what the row speaks of one call does. ``media`` says by
        which files, where that depends on the machine. The clock is the ``timer`` of the test's
        benchmark mark, else that of the wall.
        """
        yardsticks: list[float] = []

        def before() -> tuple[tuple[Any, ...], dict[str, Any]]:
            given = arguments()
            began = self._clock()
            yardstick(*given)
            yardsticks.append((self._clock() - began) / yardstick_calls)
            return given, {}

        # pytest-benchmark has no types.
        benchmark: Any = self._benchmark
        # As a worker does: what else this process holds costs neither of the two anything.
        gc.collect()
        gc.freeze()
        benchmark.pedantic(subject, setup=before, rounds=rounds, warmup_rounds=int(warm_up))
        values = [seconds / calls for seconds in benchmark.stats.stats.data]
        made = row(name, what, yardstick_name, values, yardsticks[-len(values) :])
        made = replace(made, media=media)
        self._node.user_properties.append((_PROPERTY, made))
        return made


@pytest.fixture
def against(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Against:
    """What a function here measures with."""
    return Against(benchmark, request.node)


class _Collector:
    """Takes the rows out of pytest's reports."""

    def __init__(self, tell: Callable[[Row], None]) -> None:
        self.rows: dict[str, list[Row]] = {}
        self.failures: list[str] = []
        self._tell = tell

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """No dots between the rows."""
        return report.outcome, "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest after each part of a test."""
        if report.failed:
            self.failures.append(f"{report.nodeid}\n{report.longreprtext}")
        if report.when == "call":
            for name, made in report.user_properties:
                if name == _PROPERTY:
                    assert isinstance(made, Row)
                    self.rows.setdefault(report.nodeid, []).append(made)
                    self._tell(made)


def measure(
    *options: str,
    tests: Sequence[str] = (str(_HERE),),
    full: bool = False,
    tell: Callable[[Row], None] = lambda _: None,
) -> Mapping[str, Sequence[Row]]:
    """The rows that each test makes, in this process; ``options`` are pytest's.

    ``tests``: folders or tests, by default all here. ``full``: those that are marked so as well.
    ``tell`` hears of each row when it is there. Raises ``RuntimeError`` if one could not be
    measured.
    """
    collector = _Collector(tell)
    # Alone on the machine, with what it prints left to the caller.
    ours = [
        "-c",
        str(_CONFIGURATION),
        "-o",
        "addopts=",
        "--timeout=0",
        "-s",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
    ]
    quiet = ["-qq", "--no-summary", "--benchmark-quiet"]
    selected = ["-m", "full or not full" if full else "not full"]
    code = pytest.main([*ours, *quiet, *selected, *options, *tests], plugins=[collector])
    if code is not pytest.ExitCode.OK:
        failures = "\n".join(collector.failures)
        raise RuntimeError(f"could not be measured: {code!r}\n{failures}")
    return collector.rows
