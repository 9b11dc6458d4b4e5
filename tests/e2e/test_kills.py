"""Servers, workers and databases that are killed at any moment, with much to do."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hashmatch.client import Client
from hashmatch.errors import HashmatchError
from hashmatch.model.changes import Position
from hashmatch.model.records import Entry, Screening
from hashmatch.model.verdicts import Action, EntryState, Verdict, VerdictReason
from hashmatch.store.audit import Audit
from hashmatch.store.changes import History
from hashmatch.store.database import Database
from hashmatch.wire.signals import signals_to_wire
from tests.conftest import RunningServer, serving
from tests.databases import Postgres
from tests.support import TORTURE, descendants, image, new_id, signals

# A few in the suite; by ``make torture`` two hundred in all.
KILLS = 70 if TORTURE else 3


@dataclass
class Answers:
    """What callers were told, by the request that they made."""

    entries: dict[str, tuple[int, Entry]] = field(default_factory=dict)
    withdrawn: dict[str, Entry] = field(default_factory=dict)
    screenings: dict[str, tuple[int, Screening]] = field(default_factory=dict)
    media: dict[str, tuple[int, Screening]] = field(default_factory=dict)


class Load:
    """Callers that list, withdraw and screen as fast as they are answered."""

    def __init__(self, address: str, answers: Answers, seed: int) -> None:
        self._ended = threading.Event()
        self._address, self._answers, self._seed = address, answers, seed
        jobs = (self._list, self._screen, self._upload)
        self._threads = [threading.Thread(target=self._repeat, args=(job,)) for job in jobs]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, job: Callable[[Client, int], None]) -> None:
        number = self._seed * 100_000
        with Client(self._address, timeout_seconds=1) as client:
            while not self._ended.is_set():
                number += 1
                try:
                    job(client, number)
                except HashmatchError:  # Not answered: it may be there or not.
                    time.sleep(0.02)

    def _list(self, client: Client, number: int) -> None:
        request = new_id()
        entry = client.add_entry_from_signals(
            "bank", [signals_to_wire(signals(number))], request_id=request
        )
        self._answers.entries[request] = number, entry
        if number % 3 == 0:
            request = new_id()
            gone = client.withdraw_entry(entry.ref.entry_id, request_id=request)
            self._answers.withdrawn[request] = gone

    def _screen(self, client: Client, number: int) -> None:
        request = new_id()
        message = [signals_to_wire(signals(number))]
        screening = client.screen_signals(message, duration_ms=0, request_id=request)
        self._answers.screenings[request] = number, screening

    def _upload(self, client: Client, number: int) -> None:
        request = new_id()
        screening = client.screen(image(number, 64, 64), request_id=request, timeout_seconds=0)
        self._answers.media[request] = number, screening


def check(address: str, url: str, answers: Answers) -> None:
    """All that was answered is there, once, and nothing is there by half."""
    database = Database(url)
    assert Audit(database).verify().findings == ()
    told, _, checkpoint = History(database).read(Position(), 1_000_000)
    assert checkpoint is not None
    revisions = [each.revision for each in told]
    assert revisions == sorted(set(revisions))
    database.close()
    with Client(address, timeout_seconds=60) as client:
        for request, (number, entry) in answers.entries.items():
            message = [signals_to_wire(signals(number))]
            again = client.add_entry_from_signals("bank", message, request_id=request)
            assert again == entry
        for request, entry in answers.withdrawn.items():
            assert client.withdraw_entry(entry.ref.entry_id, request_id=request) == entry
            assert client.get_entry(entry.ref.entry_id).state is EntryState.WITHDRAWN
        # Of every third the withdrawal may have been done and not answered.
        listed = [each for each in answers.entries.values() if each[0] % 3]
        for number, entry in listed[-3:]:
            message = [signals_to_wire(signals(number))]
            found = client.screen_signals(message, duration_ms=0)
            assert entry.ref in [each.entry for each in found.evidence]
        for request, (number, screening) in answers.screenings.items():
            message = [signals_to_wire(signals(number))]
            screened = client.screen_signals(message, duration_ms=0, request_id=request)
            # Its case is as it is by now: what was withdrawn since has opened one.
            assert replace(screened, case_id="", decision=None) == replace(
                screening, case_id="", decision=None
            )
        for request, (number, screening) in answers.media.items():
            assert client.screen(image(number, 64, 64), request_id=request) == screening
            codes = {reason.code for reason in screening.reasons}
            assert screening.verdict is Verdict.NO_MATCH or codes <= {
                VerdictReason.WORKER_DIED,
                VerdictReason.BLOCKLIST_EMPTY,
            }


@contextlib.contextmanager
def killable(data: Path, **settings: str) -> Iterator[RunningServer]:
    """A server that may be gone by the end."""
    with contextlib.suppress(ProcessLookupError), serving(data, workers="1", **settings) as running:
        yield running


def make_bank(address: str) -> None:
    """With an entry, so that something could match."""
    with Client(address) as client:
        client.create_bank("bank", action=Action.BLOCK)
        client.add_entry_from_signals("bank", [signals_to_wire(signals(0))])


def wait_for_answers(answers: Answers, chance: random.Random) -> None:
    """Until there is load, and then for a moment more."""
    before = len(answers.entries), len(answers.screenings)
    until = time.monotonic() + 60
    while len(answers.entries) <= before[0] or len(answers.screenings) <= before[1]:
        assert time.monotonic() < until
        time.sleep(0.005)
    time.sleep(chance.random() * 0.7)


def test_a_server_that_is_killed_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    """An upload would be published by a verdict, or an entry relied on, that nobody can find; or
    uploads and their decoders be left lying about.
    """
    chance, answers = random.Random(0), Answers()
    url = f"sqlite:///{tmp_path / 'hashmatch.db'}"
    decoders: set[int] = set()
    for number in range(KILLS):
        with killable(tmp_path) as server:
            # Those of the server that was killed before.
            assert not any(Path(f"/proc/{pid}").exists() for pid in decoders)
            if not number:
                make_bank(server.address)
            with Load(server.address, answers, number + 1):
                wait_for_answers(answers, chance)
                decoders = descendants(server.pid)
                os.kill(server.pid, signal.SIGKILL)
        with sqlite3.connect(tmp_path / "hashmatch.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    with killable(tmp_path) as server:
        check(server.address, url, answers)
        assert list((tmp_path / "spool").iterdir()) == []
    assert len(answers.entries) >= KILLS
    assert len(answers.withdrawn) >= KILLS / 4
    assert len(answers.screenings) >= KILLS


def test_a_worker_that_is_killed_ends_one_media(tmp_path: Path) -> None:
    """Likewise; and no later upload would be decoded."""
    chance, answers = random.Random(1), Answers()
    with killable(tmp_path) as server:
        make_bank(server.address)
        with Load(server.address, answers, 1):
            for _ in range(KILLS):
                wait_for_answers(answers, chance)
                children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
                for pid in children.split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                before = len(answers.media)
                until = time.monotonic() + 60
                while len(answers.media) < before + 2:
                    assert time.monotonic() < until
                    time.sleep(0.01)
        check(server.address, f"sqlite:///{tmp_path / 'hashmatch.db'}", answers)


@pytest.fixture
def postgres() -> Postgres:
    """A server of its own, so that it can be killed."""
    return Postgres(keeps=True)


def test_a_database_that_is_killed_loses_nothing(postgres: Postgres, tmp_path: Path) -> None:
    """Likewise."""
    chance, answers = random.Random(2), Answers()
    url = postgres.new(name="killed")
    settings: dict[str, Any] = {"database": url}
    with killable(tmp_path, **settings) as server:
        make_bank(server.address)
        with Load(server.address, answers, 1):
            for _ in range(KILLS):
                wait_for_answers(answers, chance)
                postgres.kill()
                time.sleep(chance.random() * 0.3)
                postgres.start()
        check(server.address, url, answers)
