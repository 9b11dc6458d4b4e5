"""Lists of hashes are imported, again and again, and withdrawn as one."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hashmatch.client import Client
from hashmatch.errors import (
    BankArchived,
    BankNotFound,
    EntryNotPending,
    HashmatchError,
    ImportNotFound,
    InvalidField,
    ListReversed,
    PermissionDenied,
    RequestIdReused,
    SecondPersonNeeded,
)
from hashmatch.model.imports import Format, ImportState, ProblemCode
from hashmatch.model.records import BlocklistChange, Provenance
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import (
    Action,
    Activation,
    ChangeType,
    EntryState,
    Kind,
    Part,
    Verdict,
)
from hashmatch.wire.signals import signals_to_wire
from tests.conftest import serving
from tests.lists.test_reader import BROKEN, HEADER
from tests.staff import Staff

LINES = 3_000

Digests = npt.NDArray[np.uint8]


def digests(seed: int, count: int) -> Digests:
    """Far from all others."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


def hexes(some: Digests) -> str:
    """One on each line."""
    return "".join(each.tobytes().hex() + "\n" for each in some)


def mixed(some: Digests, every: int) -> tuple[str, dict[int, ProblemCode]]:
    """A CSV of them, with a broken line after each so many; and what is wrong with which."""
    rows, wrong = [HEADER], {}
    broken = [(line, code) for line, code, _ in BROKEN.values() if "\0" not in line]
    for number, each in enumerate(some):
        rows.append(f"{each.tobytes().hex()},pdq,ref {number},,100")
        if number % every == every - 1:
            line, code = broken[number // every % len(broken)]
            rows.append(line)
            wrong[len(rows)] = code
    return "\n".join(rows), wrong


def shown(client: Client, some: Digests) -> list[Verdict]:
    """On media of which each shows one hash."""
    return [
        client.screen_signals(
            [
                signals_to_wire(
                    Signals(
                        Kind.PDQ,
                        each[None],
                        np.array([100], np.uint8),
                        np.zeros(1, np.int64),
                        np.array([view_code(Part.FULL)], np.uint8),
                    )
                )
            ],
            duration_ms=0,
        ).verdict
        for each in some
    ]


@pytest.fixture
def client(staff: Staff) -> Client:
    """The client of the caller that has every role."""
    return staff.everybody


@pytest.fixture
def bank(client: Client) -> Iterator[str]:
    """One that blocks by PDQ and MD5, and is archived in the end."""
    name = f"bank-{uuid.uuid4().hex[:8]}"
    client.create_bank(name, action=Action.BLOCK, thresholds={Kind.PDQ: 31, Kind.MD5: 0})
    yield name
    client.archive_bank(name)


def test_good_lines_come_in_and_broken_ones_are_told(client: Client, bank: str) -> None:
    """Twenty ways to be broken; the list again; and all of it withdrawn."""
    some = digests(1, LINES)
    text, wrong = mixed(some, 100)
    made = client.import_entries(bank, text.encode(), provenance=Provenance(source="a partner"))
    assert (made.created, made.known, made.broken) == (LINES, 0, len(wrong))
    assert (made.state, made.format) == (ImportState.ACTIVE, Format.CSV)
    assert made.lines == LINES + len(wrong) + 1
    assert {each.line: each.code for each in made.problems} == wrong
    assert len(set(wrong.values())) >= 10
    picked = some[[0, LINES // 2, LINES - 1]]
    assert shown(client, picked) == [Verdict.BLOCK] * 3
    assert client.get_bank(bank).active_entries == LINES
    again = client.import_entries(bank, text.encode())
    assert (again.created, again.known, again.broken) == (0, LINES, len(wrong))
    assert client.get_bank(bank).active_entries == LINES
    withdrawn = client.withdraw_import(made.import_id, why="a mistake of the partner")
    assert withdrawn.state is ImportState.WITHDRAWN
    assert client.get_bank(bank).active_entries == 0
    # What was withdrawn stays so, whoever sends it again.
    gone = client.import_entries(bank, text.encode())
    assert (gone.created, gone.known, gone.withdrawn_before) == (0, 0, LINES)
    assert client.get_import(made.import_id).problems == made.problems
    assert client.withdraw_import(made.import_id) == withdrawn
    assert made.import_id in {each.import_id for each in client.list_imports()}


def test_a_dry_run_says_the_same_and_does_nothing(client: Client, bank: str) -> None:
    """Somebody would find out afterwards."""
    some = digests(2, 500)
    text = hexes(np.concatenate([some, some[:7]])) + "zz\n"
    tried = client.import_entries(bank, text.encode(), kind=Kind.PDQ, dry_run=True)
    assert client.get_bank(bank).active_entries == 0
    made = client.import_entries(bank, text.encode(), kind=Kind.PDQ)
    counts = [
        (each.created, each.known, each.withdrawn_before, each.broken, each.lines)
        for each in (tried, made)
    ]
    assert counts[0] == counts[1] == (500, 7, 0, 1, 508)
    assert (tried.problems, tried.dry_run) == (made.problems, True)
    assert made.dry_run is False
    assert tried.import_id == ""


def test_a_repeat_gets_the_first_answer(client: Client, bank: str) -> None:
    """A lost reply would look like a list that brought nothing."""
    text = hexes(digests(3, 50)).encode()
    request_id = uuid.uuid4().hex
    made = client.import_entries(bank, text, kind=Kind.PDQ, request_id=request_id)
    assert client.import_entries(bank, text, kind=Kind.PDQ, request_id=request_id) == made
    with pytest.raises(RequestIdReused):
        client.import_entries(bank, text, kind=Kind.SHA256, request_id=request_id)


def test_a_video_is_one_entry(client: Client, bank: str) -> None:
    """VPDQ writes its frames one below the other."""
    some = digests(4, 20)
    text = "".join(f"{n},100,{each.tobytes().hex()},{n}.5\n" for n, each in enumerate(some))
    made = client.import_entries(bank, text.encode(), reference="clip 9")
    assert (made.created, made.format) == (1, Format.VPDQ)
    (entry,) = client.list_entries(bank=bank)
    assert (entry.ref.reference, entry.duration_ms) == ("clip 9", 19_500)
    assert [(each.kind, each.count) for each in entry.kinds] == [(Kind.PDQ, 20)]
    assert shown(client, some[[3]]) == [Verdict.BLOCK]


@pytest.mark.parametrize("order", ["bytes", "words", "bits", "swapped"])
def test_a_list_in_another_order_is_refused_with_a_hint(
    client: Client, bank: str, order: str
) -> None:
    """It would match nothing, for ever, and nobody would notice."""
    some = digests(5, 200)
    client.import_entries(bank, hexes(some).encode(), kind=Kind.PDQ)
    words = some.reshape(-1, 16, 2)
    wrong, hint = {
        "bytes": (some[:, ::-1], "bytes the other way round"),
        "words": (words[:, ::-1].reshape(-1, 32), "words the other way round"),
        "bits": (np.packbits(np.unpackbits(some, axis=1)[:, ::-1], axis=1), "bits the other way"),
        "swapped": (words[:, :, ::-1].reshape(-1, 32), "two bytes of each word"),
    }[order]
    for dry_run in (True, False):
        with pytest.raises(ListReversed, match=hint):
            client.import_entries(bank, hexes(wrong).encode(), kind=Kind.PDQ, dry_run=dry_run)
    assert client.get_bank(bank).active_entries == 200
    # What matches nothing in any order is only new; and what matches forwards is right.
    client.import_entries(bank, hexes(digests(6, 50)).encode(), kind=Kind.PDQ)
    client.import_entries(bank, hexes(np.concatenate([some[:1], wrong])).encode(), kind=Kind.PDQ)


def test_what_is_no_list_is_refused(client: Client, bank: str) -> None:
    """And leaves nothing behind but the attempt."""
    for text in (b"hello world", b"name,age\n1,2\n"):
        with pytest.raises(InvalidField):
            client.import_entries(bank, text)
    with pytest.raises(BankNotFound):
        client.import_entries("nowhere", b"")
    with pytest.raises(ImportNotFound):
        client.get_import("imp_1")
    empty = client.import_entries(bank, b"")
    assert (empty.created, empty.state) == (0, ImportState.ACTIVE)
    with pytest.raises(EntryNotPending):
        client.approve_import(empty.import_id)
    assert client.get_bank(bank).active_entries == 0


def test_an_archived_bank_takes_none(client: Client) -> None:
    """It would seem to be listed."""
    name = f"bank-{uuid.uuid4().hex[:8]}"
    client.create_bank(name, action=Action.BLOCK)
    client.archive_bank(name)
    with pytest.raises(BankArchived):
        client.import_entries(name, hexes(digests(7, 3)).encode(), kind=Kind.PDQ)


def test_two_lists_at_once_bring_each_entry_once(client: Client, bank: str) -> None:
    """Two people import the list of the day."""
    text = hexes(digests(8, 12_000)).encode()
    made = []
    threads = [
        threading.Thread(
            target=lambda: made.append(client.import_entries(bank, text, kind=Kind.PDQ))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.created for each in made) == 12_000
    assert sum(each.known for each in made) == 12_000
    assert client.get_bank(bank).active_entries == 12_000


def test_followers_are_told_of_each_entry(client: Client, bank: str) -> None:
    """A copy elsewhere would miss a list, or keep one that was withdrawn."""
    began = next(iter(client.list_banks())).revision
    made = client.import_entries(bank, hexes(digests(9, 700)).encode(), kind=Kind.PDQ)
    client.withdraw_import(made.import_id)
    found: dict[ChangeType, set[tuple[str, EntryState]]] = {}
    for told in client.watch_changes(began):
        if not isinstance(told, BlocklistChange):
            break
        if told.entry is not None and told.entry.ref.bank_name == bank:
            ref = told.entry.ref
            found.setdefault(told.type, set()).add((ref.entry_id, told.entry.state))
    created, gone = found[ChangeType.ENTRY_CREATED], found[ChangeType.ENTRY_WITHDRAWN]
    assert len(created) == len(gone) == 700
    assert {each for each, _ in created} == {each for each, _ in gone}
    assert {state for _, state in created} == {EntryState.ACTIVE}
    assert {state for _, state in gone} == {EntryState.WITHDRAWN}


def test_an_import_takes_two_persons_where_an_entry_does(staff: Staff) -> None:
    """A list would be the way round the second person."""
    some = digests(10, 60)
    two = staff.bank(activation=Activation.TWO_PERSON, thresholds={Kind.PDQ: 31})
    ayu, budi, elsewhere = staff.ayu, staff.budi, staff.elsewhere
    made = ayu.import_entries(two, hexes(some).encode(), kind=Kind.PDQ)
    assert made.state is ImportState.PENDING
    assert Verdict.BLOCK not in shown(staff.everybody, some[:3])
    with pytest.raises(SecondPersonNeeded):
        ayu.approve_import(made.import_id)
    for denied in (elsewhere.approve_import, elsewhere.withdraw_import, elsewhere.get_import):
        with pytest.raises(PermissionDenied):
            denied(made.import_id)
    with pytest.raises(PermissionDenied):
        elsewhere.import_entries(two, hexes(some).encode(), kind=Kind.PDQ)
    # One of them is declined before, and stays so.
    declined = next(iter(budi.list_entries(bank=two)))
    budi.withdraw_entry(declined.ref.entry_id)
    approved = budi.approve_import(made.import_id, why="seen a sample of twenty")
    assert approved.state is ImportState.ACTIVE
    states = [each.state for each in budi.list_entries(bank=two)]
    assert states.count(EntryState.ACTIVE) == 59
    assert states.count(EntryState.WITHDRAWN) == 1
    assert shown(staff.everybody, some).count(Verdict.BLOCK) == 59
    second = ayu.import_entries(two, hexes(digests(11, 40)).encode(), kind=Kind.PDQ)
    assert budi.withdraw_import(second.import_id).state is ImportState.WITHDRAWN
    with pytest.raises(EntryNotPending):
        ayu.approve_import(second.import_id)


def test_what_is_withdrawn_while_it_comes_is_withdrawn_whole(
    staff: Staff, client: Client, bank: str
) -> None:
    """The rest of a poisoned list would come into use after it was withdrawn."""
    source = _Stopping(hexes(digests(14, 20_000)).encode())
    made = []

    def import_all() -> None:
        # A client of its own: this source holds up all that its client does.
        with staff.client(staff.tokens["everybody"]) as own:
            made.append(own.import_entries(bank, source, kind=Kind.PDQ))

    thread = threading.Thread(target=import_all)
    thread.start()
    deadline = time.monotonic() + 60
    while not client.get_bank(bank).active_entries:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (begun,) = [each for each in client.list_imports() if each.bank_name == bank]
    assert begun.state is ImportState.UNFINISHED
    client.withdraw_import(begun.import_id)
    source.go_on.set()
    thread.join()
    assert [each.state for each in made] == [ImportState.WITHDRAWN]
    assert client.get_bank(bank).active_entries == 0


def test_a_run_that_is_killed_goes_on(tmp_path: Path) -> None:
    """A list of a night would begin anew in the morning; or half of it be there twice."""
    some = digests(12, 20_000)
    text, request_id = hexes(some).encode(), uuid.uuid4().hex
    with serving(tmp_path) as server, Client(server.address) as client:
        client.create_bank("b", action=Action.BLOCK, thresholds={Kind.PDQ: 31})

        def import_all() -> None:
            with pytest.raises(HashmatchError), Client(server.address, timeout_seconds=10) as other:
                other.import_entries("b", source, kind=Kind.PDQ, request_id=request_id)

        source = _Stopping(text)
        thread = threading.Thread(target=import_all)
        thread.start()
        deadline = time.monotonic() + 60
        while not client.get_bank("b").active_entries:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(server.pid, signal.SIGKILL)
        source.go_on.set()
        thread.join()
    with serving(tmp_path) as server, Client(server.address, timeout_seconds=120) as client:
        before = client.get_bank("b").active_entries
        assert 0 < before < len(some)
        made = client.import_entries("b", text, kind=Kind.PDQ, request_id=request_id)
        assert (made.created, made.known, made.state) == (len(some), 0, ImportState.ACTIVE)
        assert client.get_bank("b").active_entries == len(some)
        assert client.withdraw_import(made.import_id).state is ImportState.WITHDRAWN
        assert client.get_bank("b").active_entries == 0


class _Stopping(io.BytesIO):
    """A file whose last third comes when it is let go on."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.go_on = threading.Event()
        self._third = len(data) * 2 // 3

    def read(self, size: int | None = -1, /) -> bytes:
        size = min(size or 1 << 16, 1 << 16)
        if self.tell() + size > self._third:
            assert self.go_on.wait(60)
        return super().read(size)


def test_the_commands(staff: Staff, tmp_path: Path) -> None:
    """Partners' lists are imported by people, and by cron."""
    bank, some = f"bank-{uuid.uuid4().hex[:8]}", digests(13, 30)
    text, wrong = mixed(some, 1)
    file = tmp_path / "partner.csv"
    file.write_text(text)

    def run(*arguments: str, code: int = 0) -> str:
        return staff.run("everybody", *arguments, code=code).out

    run("bank", "create", bank, "--action", "block", "--kind", "pdq:31", "--kind", "md5")
    add = ["import", "add", str(file), "--bank", bank]
    told = run(*add, "--dry-run", code=1)
    assert "partner.csv line 3: " in told
    assert some[0].tobytes().hex() not in told
    made = json.loads(run(*add, "--json", "--source", "a partner", code=1))["import"]
    assert (made["created"], made["broken"]) == ("30", f"{len(wrong)}")
    assert len(made["problems"]) == len(wrong)
    import_id = made["import_id"]
    assert import_id in run("import", "list")
    assert run("import", "show", import_id).count("line ") == len(wrong)
    assert "withdrawn" in run("import", "withdraw", import_id, "--why", "a test")
    run("bank", "archive", bank)
