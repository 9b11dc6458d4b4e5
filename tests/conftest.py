"""What tests share: fixtures on disk, the corpus, and a real server."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, settings

from hashmatch.client import Client
from hashmatch.store.database import Database
from tests.databases import BACKENDS, migrated
from tests.priority import give_up_priority
from tests.served import forked
from tests.support import spools_of

ROOT = Path(__file__).resolve().parent.parent

give_up_priority()

# A busy machine with much else to do is no failure of what is tried.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# So that no test and no server compiles a kernel twice; the Makefile sets it too.
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))


# Compiles all that there is, and keeps it.
_COMPILE = (
    "from hashmatch.engine.index import bands; "
    "from hashmatch.decoding.worker.warm_up import warm_up; "
    "bands.warm_up(); warm_up()"
)


# Modules that take longest, by processor time: a long one that begins last would end alone.
_LONGEST = (
    "tests/e2e/test_hostile_media.py",
    "tests/e2e/test_gaps.py",
    "tests/engine/index/test_bands.py",
    "tests/test_benchmarks.py",
    "tests/test_streams.py",
    "tests/e2e/test_corpus.py",
    "tests/e2e/test_flood.py",
    "tests/e2e/test_kills.py",
    "tests/test_app.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Says which tests xdist sends to one process as a whole, the largest groups first: those that
    share a server, and else those of a module.
    """
    assert all((ROOT / module).exists() for module in _LONGEST)
    groups = {item: _group(item) for item in items}
    first = {group: rank for rank, group in enumerate(("staff", "server", *_LONGEST))}
    items.sort(key=lambda item: first.get(groups[item], len(first)))
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))


def _group(item: pytest.Item) -> str:
    """The fixture of all modules that it asks for, or its module."""
    fixtures = getattr(item, "fixturenames", ())
    if "staff" in fixtures:
        return "staff"
    own = getattr(item, "module", None)
    return "server" if "server" in fixtures and not hasattr(own, "server") else _module(item)


def _module(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT).as_posix()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compiles the kernels where none are kept yet: once, not in each process of the tests and of
    theirs at the same time, each of which has a limit for its start.
    """
    kept = Path(os.environ["NUMBA_CACHE_DIR"])
    if not hasattr(session.config, "workerinput") and not any(kept.rglob("*.nbc")):
        subprocess.run([sys.executable, "-c", _COMPILE], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def media() -> Path:
    """Folder of the generated media: ``clips``, ``images`` and ``broken``."""
    from fixtures.generate import build

    return build(ROOT / ".cache" / "fixtures")


@pytest.fixture(params=BACKENDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database, of each sort."""
    with migrated(request.param, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of real clips. Where HASHMATCH_CORPUS is set, it must be there."""
    folder = os.environ.get("HASHMATCH_CORPUS")
    if not folder:
        pytest.skip("HASHMATCH_CORPUS is not set")
    path = Path(folder).resolve()
    assert any(path.iterdir()), f"HASHMATCH_CORPUS={folder} holds nothing"
    return path


@pytest.fixture(scope="session")
def reference(corpus: Path) -> Path:
    """Folder of what the reference implementations computed, beside the corpus."""
    path = corpus.parent / "reference"
    assert path.is_dir(), f"{path} is missing"
    return path


@pytest.fixture
def spools() -> Callable[[], int]:
    """Counts the files of uploads that this process has opened since the test began and still has;
    those before may be of an exception that a test before has left.
    """
    gc.collect()
    before = spools_of("self")
    return lambda: spools_of("self") - before


# Starts a command, of these arguments, environment and log; tells its process and its output.
Start = Callable[
    [Sequence[str], Mapping[str, str], Path],
    contextlib.AbstractContextManager[tuple[int, IO[str]]],
]


@dataclass(frozen=True)
class RunningServer:
    """A server in a process of its own."""

    address: str
    pid: int
    data: Path
    log: Path
    first_token: str = ""


@contextlib.contextmanager
def serving(data: Path, **settings: str) -> Iterator[RunningServer]:
    """Runs ``hashmatch serve`` on a free port, see `tests.served`; ``settings`` are variables
    without their prefix.
    """
    with _serving(forked, data, settings) as running:
        yield running


@contextlib.contextmanager
def serving_afresh(data: Path, **settings: str) -> Iterator[RunningServer]:
    """As `serving`, in a program of its own as users start it, which takes two seconds longer."""
    with _serving(_spawned, data, settings) as running:
        yield running


@contextlib.contextmanager
def _serving(start: Start, data: Path, settings: Mapping[str, str]) -> Iterator[RunningServer]:
    data.mkdir(parents=True, exist_ok=True)
    log = data / "log.jsonl"
    # Callers are asked who they are where a test is about that.
    given = {"unsafe_no_auth": "true", **settings}
    environment = {**os.environ, **{f"HASHMATCH_{k.upper()}": v for k, v in given.items()}}
    arguments = ["serve", "--json", "--listen", "127.0.0.1:0", "--data", str(data)]
    with start(arguments, environment, log) as (pid, output):
        line = output.readline()
        assert line, f"the server did not start:\n{log.read_text()}"
        told = json.loads(line)
        assert "listening" in told, f"{line}\n{log.read_text()}"
        yield RunningServer(told["listening"], pid, data, log, told.get("first_token", ""))


@contextlib.contextmanager
def _spawned(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[tuple[int, IO[str]]]:
    """As `forked`."""
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "hashmatch", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
        )
    assert process.stdout is not None
    with process.stdout:
        try:
            yield process.pid, process.stdout
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server with defaults, shared: tests make banks of their own and archive them."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: RunningServer) -> Iterator[Client]:
    """A client of the shared server."""
    with Client(server.address, timeout_seconds=60) as connected:
        yield connected


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fails the run if a test skipped although the corpus that it needs is said to be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("HASHMATCH_CORPUS"):
        return
    if skipped := reporter.stats.get("skipped"):
        reporter.write_line(f"{len(skipped)} skipped although HASHMATCH_CORPUS is set", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
