"""What a preview reads of a store."""

from __future__ import annotations

import numpy as np
import pytest

from hashmatch.engine.index.live import usable
from hashmatch.errors import BankArchived, EntryNotFound, ImportNotFound
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.records import Bank, Entry
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, BankState, Kind
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.database import Database
from hashmatch.store.previews import Of, Previewed, PreviewStore
from tests.support import new_request, same_signals, signals

KINDS = {Kind.PDQ: 31, Kind.SHA256: 0}


def bank(store: BlocklistStore, name: str, action: Action = Action.BLOCK) -> Bank:
    """A new one."""
    return store.create_bank(new_request(), name, "", action, KINDS)


def entry(store: BlocklistStore, of: Bank, *some: Signals, pending: bool = False) -> Entry:
    """A new one of hashes."""
    new = NewEntry("", "", some, pending=pending)
    return store.create_entry(new_request(), of.bank_id, new, usable)


def test_what_is_previewed_is_read_in_any_state(database: Database) -> None:
    """What waits would be no entry at all."""
    blocklist, store = BlocklistStore(database), PreviewStore(database)
    made = bank(blocklist, "b")
    given = signals(1, 5), signals(2, 1, Kind.SHA256)
    proposed = entry(blocklist, made, *given, pending=True)
    entry(blocklist, made, signals(3))
    previewed = Previewed(entry_id=proposed.ref.entry_id)
    for after in ("pending", "withdrawn"):
        with store.candidate(previewed) as found:
            parts = sorted(found.signals, key=lambda part: part.kind)
            assert (found.entries, found.bank.bank_id) == (1, made.bank_id)
        assert [part.kind for part in parts] == [Kind.PDQ, Kind.SHA256]
        for part, each in zip(parts, given, strict=True):
            assert np.array_equal(part.digests, each.digests)
            assert np.array_equal(part.pts_ms, each.pts_ms)
            assert set(part.bank.tolist()) == {found.bank_seq}
        if after == "pending":
            blocklist.withdraw_entry(new_request(), proposed.ref.entry_id)
    assert store.bank_of(previewed).bank_id == made.bank_id
    for nowhere, error in (
        (Previewed(entry_id="ent_1"), EntryNotFound),
        (Previewed(import_id="imp_1"), ImportNotFound),
    ):
        with pytest.raises(error):
            store.bank_of(nowhere)
    blocklist.update_bank(new_request(), "b", "", BankEdit(state=BankState.ARCHIVED))
    with pytest.raises(BankArchived):
        store.bank_of(previewed)


def test_hashes_of_several_are_told_apart(database: Database) -> None:
    """One upload would be held for what another shows."""
    blocklist, store = BlocklistStore(database), PreviewStore(database)
    harmless = bank(blocklist, "n", Action.OVERRULE)
    listed = entry(blocklist, bank(blocklist, "b"), signals(9))
    given = [(signals(1, 3), signals(1, 1, Kind.SHA256)), (signals(2, 2),), (signals(3, 1),)]
    made = [entry(blocklist, harmless, *some) for some in given]
    entry(blocklist, harmless, signals(4), pending=True)
    seqs = store.benign(Previewed(entry_id=listed.ref.entry_id))
    names = blocklist.entry_refs(seqs)
    assert [names[seq].entry_id for seq in seqs] == [each.ref.entry_id for each in made]
    assert store.benign(Previewed(entry_id=made[0].ref.entry_id)) == seqs[1:]
    assert [each.seq for each in store.entries_of(seqs[::-1])] == seqs
    assert store.sizes(Of.ENTRY, seqs) == {
        Kind.PDQ: dict(zip(seqs, (3, 2, 1), strict=True)),
        Kind.SHA256: {seqs[0]: 1},
    }
    (part,) = store.joined(Of.ENTRY, Kind.PDQ, [seqs[2], seqs[0]])
    assert part.entry.tolist() == [seqs[0]] * 3 + [seqs[2]]
    both = Signals.concatenate([signals(1, 3), signals(3)])[0]
    assert np.array_equal(part.digests, both.digests)
    assert same_signals(store.signals(Of.ENTRY, seqs[0]), given[0])
    assert store.newest_screenings(0, 10) == []
