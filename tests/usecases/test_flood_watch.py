"""Entries that block far more than others are quarantined, and others are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hashmatch.errors import StoreUnavailable
from hashmatch.model.records import Bank, BankPolicy, Evidence
from hashmatch.model.verdicts import Action
from hashmatch.store.holding import Flow
from hashmatch.usecases.flood_watch import FloodWatch
from tests.databases import BACKENDS, migrated
from tests.support import new_request
from tests.usecases.test_cases import Stored

LIMIT = 8


class Watched(Stored):
    """A blocklist whose blocking bank has a low limit."""

    @property
    def banks(self) -> list[Bank]:
        """As a server has them."""
        low = BankPolicy(flood_limit=LIMIT)
        banks = self.blocklist.list_banks(0, 9, None).items
        return [replace(bank, policy=low) if bank.name == "BLOCK" else bank for bank in banks]

    async def block(self, evidence: Evidence, files: int, watch: FloodWatch) -> None:
        """So many different files, each noticed."""
        for _ in range(files):
            self.made += 1
            await watch.notice(self.screening(evidence), self.banks)

    def is_quarantined(self, evidence: Evidence) -> bool:
        """Whether an entry is by now."""
        return self.blocklist.get_entry(evidence.entry.entry_id).quarantine_time is not None

    def watch(self) -> FloodWatch:
        """One that counts each time."""
        return FloodWatch(self.screenings, self.blocklist, again_seconds=0)


@pytest.fixture(params=BACKENDS)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    """On each sort of database."""
    with migrated(request.param, tmp_path) as database:
        yield Watched(database)


async def test_an_entry_that_blocks_everything(stored: Watched) -> None:
    """One wrong entry would refuse every upload until somebody wakes up."""
    wrong, watch = stored.entry(), stored.watch()
    await stored.block(wrong, LIMIT - 1, watch)
    assert not stored.is_quarantined(wrong)
    await stored.block(wrong, 1, watch)
    assert stored.is_quarantined(wrong)
    stored.blocklist.release_entry(new_request(), wrong.entry.entry_id)
    await stored.block(wrong, 2 * LIMIT, watch)
    assert not stored.is_quarantined(wrong)


async def test_the_same_file_counts_once(stored: Watched) -> None:
    """Whoever sends one file again and again would have its entry quarantined."""
    entry, watch = stored.entry(), stored.watch()
    for _ in range(2 * LIMIT):
        await watch.notice(stored.screening(entry), stored.banks)
    assert not stored.is_quarantined(entry)


async def test_an_entry_among_others_that_block_as_much(stored: Watched) -> None:
    """On a bad day every entry would be quarantined."""
    usual = [stored.entry() for _ in range(3)]
    watch = stored.watch()
    for each in usual:
        await stored.block(each, 2, watch)
    much = stored.entry()
    await stored.block(much, 19, watch)
    assert not stored.is_quarantined(much)
    await stored.block(much, 1, watch)
    assert stored.is_quarantined(much)


async def test_what_only_holds_for_review_is_not_counted(stored: Watched) -> None:
    """A bank that blocks nothing would be quarantined for what it does not do."""
    watch = stored.watch()
    reviewing, weak = stored.entry(Action.REVIEW), stored.entry()
    await stored.block(reviewing, 2 * LIMIT, watch)
    await stored.block(replace(weak, action=Action.REVIEW), 2 * LIMIT, watch)
    assert not stored.is_quarantined(reviewing)
    assert not stored.is_quarantined(weak)


async def test_a_bank_without_a_limit(stored: Watched) -> None:
    """An operator could not do without it."""
    entry, watch = stored.entry(), stored.watch()
    none = [replace(each, policy=BankPolicy(flood_limit=0)) for each in stored.banks]
    for _ in range(2 * LIMIT):
        stored.made += 1
        await watch.notice(stored.screening(entry), none)
    assert not stored.is_quarantined(entry)


async def test_an_entry_is_not_counted_at_every_upload(stored: Watched) -> None:
    """In a flood each upload would wait for a thousand rows."""
    entry = stored.entry()
    watch = FloodWatch(stored.screenings, stored.blocklist, again_seconds=3600)
    await stored.block(entry, 2 * LIMIT, watch)
    assert not stored.is_quarantined(entry)


async def test_a_store_that_cannot_be_asked_fails_no_upload(
    stored: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verdict that is stored would be answered by an error."""

    def fails(*_: object) -> Flow:
        raise StoreUnavailable("gone")

    screening = stored.screening(stored.entry())
    monkeypatch.setattr(stored.screenings, "flow_of", fails)
    await stored.watch().notice(screening, stored.banks)
