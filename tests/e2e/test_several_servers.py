"""Several servers on one PostgreSQL: each knows what the others do, also after it was away."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from hashmatch.client import Client
from hashmatch.engine.index.live import usable
from hashmatch.errors import Unavailable
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Action, Kind, Part, Verdict
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.database import Database
from hashmatch.wire.signals import signals_to_wire
from tests.conftest import RunningServer, serving
from tests.databases import Postgres
from tests.support import TORTURE, image, new_request

# What servers tell each other does not depend on how much they hold; the long form has a million.
ENTRIES = 1_000_000 if TORTURE else 10_000
STALE_SECONDS = 2.0


def hashes(digests: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Signals:
    """Digests of frames that are rich enough."""
    count = len(digests)
    return Signals(
        Kind.PDQ,
        digests,
        np.full(count, 100, np.uint8),
        np.zeros(count, np.int64),
        np.full(count, view_code(Part.FULL), np.uint8),
    )


def entries(count: int) -> Iterator[NewEntries]:
    """One hash each, far from all others."""
    digests = np.random.default_rng(0).integers(0, 256, (count, 32), np.uint8)
    for first in range(0, count, 5000):
        some = digests[first : first + 5000]
        texts = [""] * len(some)
        yield NewEntries(texts, texts, [(hashes(some), np.arange(len(some) + 1))])


@pytest.fixture(scope="module")
def postgres() -> Postgres:
    """A server of its own, so that it can be stopped."""
    return Postgres()


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    """A blocklist of many entries."""
    made = postgres.new(name="several")
    database = Database(made)
    database.migrate()
    store = BlocklistStore(database)
    store.create_bank(new_request(), "bank", "", Action.BLOCK, {Kind.PDQ: 31})
    assert store.create_entries(new_request(), "bank", entries(ENTRIES), usable) == ENTRIES
    database.close()
    return made


@pytest.fixture(scope="module")
def servers(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningServer]]:
    """Two that share nothing but the database. The last test kills the first of them."""
    folder = tmp_path_factory.mktemp("servers")
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                serving(
                    folder / name,
                    database=url,
                    workers="1",
                    max_staleness_seconds=str(STALE_SECONDS),
                )
            )
            for name in ("one", "other")
        ]


def known(client: Client, one: Signals) -> bool:
    """True if the hash is blocked."""
    screening = client.screen_signals([signals_to_wire(one)], duration_ms=1)
    return screening.verdict is Verdict.BLOCK


def test_what_one_server_adds_the_others_block_at_once(servers: list[RunningServer]) -> None:
    """A second upload of what was just reported would pass, if it went to another server."""
    rng = np.random.default_rng(1)
    with Client(servers[0].address) as one, Client(servers[1].address) as other:
        assert known(other, hashes(next(entries(1)).hashes[0][0].digests))
        missed = 0
        for number in range(200):
            adds, asks = (one, other) if number % 2 else (other, one)
            new = hashes(rng.integers(0, 256, (1, 32), np.uint8))
            assert not known(asks, new)
            entry = adds.add_entry_from_signals("bank", [signals_to_wire(new)])
            missed += not known(asks, new)
            if number % 10 == 0:
                asks.withdraw_entry(entry.ref.entry_id)
                assert not known(adds, new)
        assert missed == 0


def test_calls_go_to_each_in_turn(servers: list[RunningServer]) -> None:
    """One server would do all the work, and its end be the end of the service."""
    both = "ipv4:" + ",".join(server.address for server in servers)

    def screened() -> list[int]:
        return [server.log.read_text().count('"screened"') for server in servers]

    with Client(both) as client:
        at_first, until = screened(), time.monotonic() + 60
        # Both are connected.
        while not all(now > then for now, then in zip(screened(), at_first, strict=True)):
            assert time.monotonic() < until
            client.screen(image(1))
        before = screened()
        for _ in range(20):
            assert client.screen(image(1)).verdict is Verdict.NO_MATCH
    after = screened()
    assert all(20 > count - old >= 5 for count, old in zip(after, before, strict=True))


def test_nothing_is_lost_while_the_database_is_away(
    servers: list[RunningServer], postgres: Postgres
) -> None:
    """What was added just before, or while a server could not hear of it, would pass for ever."""
    rng = np.random.default_rng(2)
    with Client(servers[0].address) as one, Client(servers[1].address) as other:
        added = []
        verdicts: Counter[str] = Counter()
        for _ in range(2):
            before = hashes(rng.integers(0, 256, (1, 32), np.uint8))
            one.add_entry_from_signals("bank", [signals_to_wire(before)])
            postgres.stop()
            until = time.monotonic() + 2 * STALE_SECONDS
            while time.monotonic() < until:
                for address in (servers[0].address, servers[1].address):
                    with Client(address, timeout_seconds=0) as client:
                        verdicts[_answer(client)] += 1
                time.sleep(0.05)
            postgres.start()
            after = hashes(rng.integers(0, 256, (1, 32), np.uint8))
            other.add_entry_from_signals("bank", [signals_to_wire(after)])
            added += [before, after]
            for client in (one, other):
                assert all(known(client, each) for each in added)
        # What is answered is stored: without a store there is no answer, and no NO_MATCH.
        assert set(verdicts) == {"unavailable"}
        for client in (one, other):
            while not client.is_ready():
                assert time.monotonic() < until + 60
                time.sleep(0.1)


def _answer(client: Client) -> str:
    try:
        return client.screen(image(5)).verdict.name
    except Unavailable:
        return "unavailable"


def test_the_others_go_on_when_one_is_killed(servers: list[RunningServer]) -> None:
    """Each deployment, or each crash, would be an outage."""
    both = "ipv4:" + ",".join(server.address for server in servers)
    with Client(both, timeout_seconds=60) as client:
        for number in range(30):
            if number == 10:
                os.kill(servers[0].pid, signal.SIGKILL)
            assert client.screen(image(number)).verdict is Verdict.NO_MATCH
