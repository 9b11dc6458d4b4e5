"""The audit trail, on both databases: whatever is done to it is found."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from hashmatch.engine.index.live import usable
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.verdicts import Action, BankState, Kind
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.changes import History
from hashmatch.store.database import Database
from hashmatch.store.tables import audit, changes
from tests.support import new_request, signals


@pytest.fixture
def store(database: Database) -> BlocklistStore:
    """A store in which every sort of change was made."""
    store = BlocklistStore(database)
    store.create_bank(new_request(), "swords", "", Action.BLOCK, {Kind.PDQ: 31})
    for number in range(5):
        store.create_entry(
            new_request(), "swords", NewEntry(f"{number}", "", [signals(number)]), usable
        )
    many = NewEntries.joined((f"many {n}", "", [signals(n)]) for n in range(9))
    store.create_entries(new_request(), "swords", [many], usable)
    newest = store.list_entries(0, 1, None, None).items[0]
    store.withdraw_entry(new_request(), newest.ref.entry_id)
    store.withdraw_entry(new_request(), newest.ref.entry_id)
    store.update_bank(new_request(), "swords", "", BankEdit(label="sharp"))
    store.update_bank(new_request(), "swords", "", BankEdit(state=BankState.ARCHIVED))
    return store


@pytest.fixture
def trail(store: BlocklistStore, database: Database) -> Audit:
    """Its trail."""
    return Audit(database)


def problems(trail: Audit, noted: bytes | None = None) -> list[tuple[int, str]]:
    """What is found."""
    return [(each.row, each.problem) for each in trail.verify(noted).findings]


def tamper(database: Database, *statements: sa.Executable) -> None:
    """As somebody does who may do all with the database."""
    with database.write() as connection:
        if database.is_postgresql:
            connection.execute(sa.text("DROP TRIGGER audit_append_only ON audit"))
        else:
            connection.execute(sa.text("DROP TRIGGER audit_no_update"))
            connection.execute(sa.text("DROP TRIGGER audit_no_delete"))
        for statement in statements:
            connection.execute(statement)


def test_every_change_has_its_row(trail: Audit, store: BlocklistStore, database: Database) -> None:
    """Nobody could say who listed, withdrew or changed what."""
    with database.read() as connection:
        rows = connection.execute(sa.select(audit).order_by(audit.c.seq)).all()
    assert [row.action for row in rows] == [
        "audit_begun",
        "bank_created",
        *["entry_created"] * 5,
        "entries_created",
        "entry_withdrawn",
        "entry_unchanged",
        "bank_updated",
        "bank_archived",
    ]
    assert [row.revision for row in rows] == list(range(12))
    bank = store.get_bank("swords")
    assert [row.subject == bank.bank_id for row in rows].count(True) == 4
    assert all(row.subject.startswith("ent_") for row in rows[2:7])
    assert problems(trail) == []
    assert trail.verify().rows == 12
    assert bytes.fromhex(trail.verify().head) == rows[-1].hash


def test_the_trail_holds_no_hashes(trail: Audit, database: Database) -> None:
    """Auditors would see what nobody is shown."""
    digests = [bytes(signals(number).digests[0]) for number in range(9)]
    with database.read() as connection:
        for row in connection.execute(sa.select(audit)):
            said = f"{row}"
            assert all(raw.hex() not in said and str(raw) not in said for raw in digests)


def test_the_database_refuses_to_change_it(trail: Audit, database: Database) -> None:
    """An administrator's slip, or a fault of hashmatch, would change what was done."""
    for statement in (audit.update().values(actor="somebody"), audit.delete()):
        with (
            database.engine.connect() as connection,
            pytest.raises(DBAPIError, match="append-only"),
        ):
            connection.execute(statement)
    assert problems(trail) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at_ms", 1),
        ("actor", "somebody else"),
        ("action", "entry_withdrawn"),
        ("subject", "ent_other"),
        ("revision", None),
        ("revision", 99),
        ("details", "{}"),
        ("previous", bytes(32)),
        ("hash", bytes(32)),
    ],
)
@pytest.mark.parametrize("seq", [1, 6, 12])
def test_a_row_that_was_changed_is_found(
    trail: Audit, database: Database, seq: int, column: str, value: object
) -> None:
    """Whoever can write to the database could do as if another had listed an entry."""
    tamper(database, audit.update().where(audit.c.seq == seq).values({column: value}))
    found = problems(trail)
    if (seq, column) == (1, "previous"):  # The first row follows nothing.
        assert found == []
    else:
        assert seq in {row for row, _ in found} or (column == "hash" and seq + 1 in dict(found))


def test_a_row_that_was_written_anew_is_found(trail: Audit, database: Database) -> None:
    """Likewise, for one who can compute hashes too."""
    from hashmatch.store.audit import _hash  # As an attacker would.

    with database.read() as connection:
        row = connection.execute(sa.select(audit).where(audit.c.seq == 6)).one()._asdict()
    row["subject"] = "ent_other"
    tamper(
        database,
        audit.update().where(audit.c.seq == 6).values(subject="ent_other", hash=_hash(row)),
    )
    assert problems(trail) == [(7, "it does not follow row 6 as that is now")]


@pytest.mark.parametrize("seqs", [[1], [6], [6, 7, 8], [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]])
def test_rows_that_were_removed_are_found(
    trail: Audit, database: Database, seqs: list[int]
) -> None:
    """A withdrawal could be made not to have happened."""
    tamper(database, audit.delete().where(audit.c.seq.in_(seqs)))
    assert (seqs[0], f"rows {seqs[0]} to {seqs[-1]} were removed") in problems(trail)


def test_rows_that_changed_places_are_found(trail: Audit, database: Database) -> None:
    """It would seem that an entry was withdrawn before it was listed."""
    move = [(5, -1), (7, 5), (-1, 7)]
    tamper(
        database,
        *(audit.update().where(audit.c.seq == old).values(seq=new) for old, new in move),
    )
    assert {5, 6, 7, 8} & {row for row, _ in problems(trail)} >= {5, 7}


def test_an_end_that_was_cut_off_is_found(trail: Audit, database: Database) -> None:
    """The newest deeds could be made not to have happened."""
    noted = bytes.fromhex(trail.verify().head)
    tamper(database, audit.delete().where(audit.c.seq > 9))
    assert problems(trail) == [
        (0, f"no row tells of revision {number} of the blocklist") for number in (9, 10, 11)
    ]
    with database.write() as connection:
        connection.execute(changes.delete().where(changes.c.revision > 8))
    assert problems(trail) == []  # Nothing in the database tells any more, but what was noted:
    [(row, problem)] = problems(trail, noted)
    assert row == 9
    assert "noted" in problem


def test_a_log_of_changes_that_was_cut_is_found(trail: Audit, database: Database) -> None:
    """Servers would forget an entry, and the trail would still say that it is listed."""
    with database.write() as connection:
        connection.execute(changes.delete().where(changes.c.revision == 4))
    assert problems(trail) == [(5, "the blocklist has no revision 4 any more")]


def test_what_was_noted_stays_in_the_trail(trail: Audit, store: BlocklistStore) -> None:
    """Every new row would look like a trail that was made anew."""
    noted = bytes.fromhex(trail.verify().head)
    store.create_bank(new_request(), "axes", "", Action.BLOCK, {Kind.PDQ: 31})
    assert problems(trail, noted) == []
    assert bytes.fromhex(trail.verify().head) != noted


def test_cutting_the_log_of_changes_is_told(
    trail: Audit, database: Database, store: BlocklistStore
) -> None:
    """It would look like changes that somebody removed."""
    assert History(database).compact(2**50) == store.revision() - 1
    assert problems(trail) == []
    with database.read() as connection:
        newest = connection.execute(sa.select(audit).order_by(audit.c.seq.desc())).first()
    assert newest is not None
    assert newest.action == "changes_compacted"


def test_a_change_that_failed_leaves_no_row(trail: Audit, store: BlocklistStore) -> None:
    """The trail would tell of what never happened."""
    before = trail.verify().rows

    def broken() -> NewEntries:
        raise OSError("no further")

    store.create_bank(new_request(), "axes", "", Action.BLOCK, {Kind.PDQ: 31})
    with pytest.raises(OSError, match="no further"):
        store.create_entries(new_request(), "axes", (broken() for _ in range(1)), usable)
    assert trail.verify().rows == before + 1
    assert problems(trail) == []


def test_a_repeat_leaves_no_row(trail: Audit, store: BlocklistStore) -> None:
    """It would seem that two did what one did."""
    request = new_request()
    before = trail.verify().rows
    for _ in range(3):
        store.create_bank(request, "axes", "", Action.BLOCK, {Kind.PDQ: 31})
    assert trail.verify().rows == before + 1
