"""Entries go from one bank to another as lists, by real callers over gRPC."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hashmatch.client import Client
from hashmatch.errors import PermissionDenied
from hashmatch.lists.reader import Item, ListReader
from hashmatch.model.callers import Role, new_token
from hashmatch.model.exports import Hash
from hashmatch.model.imports import Format
from hashmatch.model.verdicts import Action, EntryState, Kind
from tests.conftest import RunningServer, serving
from tests.databases import SERVED, postgres

# Entries of one frame, of one frame and a file, and films of so many frames.
FRAMES, FILES, FILMS, LENGTH = 2000, 600, 400, 10
ENTRIES = FRAMES + FILES + FILMS
KINDS = {Kind.PDQ: 31, Kind.MD5: 0, Kind.PDQ_PATCH: 40}


def made_up(seed: int) -> str:
    """A list as a partner would write it, of pictures, pictures with their files, and films."""
    random = np.random.default_rng(seed)

    def digest(width: int) -> str:
        return random.integers(0, 256, width, np.uint8).tobytes().hex()

    rows = ["entry_id,reference,kind,hash,quality,pts_ms,frame_view"]
    for number in range(ENTRIES):
        start = f"e{number},case {number}"
        if number < FRAMES + FILES:
            rows.append(f"{start},pdq,{digest(32)},{50 + number % 51},,")
        if FRAMES <= number < FRAMES + FILES:
            rows.append(f"{start},md5,{digest(16)},,,")
        for frame in range(LENGTH if number >= FRAMES + FILES else 0):
            view = ["", "full", "full_on_white", "content", "inset/rotate_90"][frame % 5]
            rows.append(f"{start},pdq,{digest(32)},100,{frame * 333},{view}")
            rows.append(f"{start},pdq_patch,{digest(36)},100,{frame * 333},")
    return "\n".join(rows)


@dataclass(frozen=True)
class Staff:
    """A server that asks who calls, tokens by what their owners are, and a bank of many entries."""

    server: RunningServer
    tokens: dict[str, str]
    bank: str

    def client(self, who: str) -> Client:
        """Somebody's."""
        return Client(self.server.address, token=self.tokens[who], timeout_seconds=120)

    def run(self, who: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A command, as somebody types it."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(who),
            capture_output=True,
            text=True,
            check=True,
        )

    def command(self, *arguments: str | Path) -> list[str]:
        """Its words."""
        words = [sys.executable, "-m", "hashmatch", *map(str, arguments)]
        return [*words, "--server", self.server.address]

    def environment(self, who: str) -> dict[str, str]:
        """What it is started with."""
        return {**os.environ, "HASHMATCH_TOKEN": self.tokens[who], "COLUMNS": "80"}

    def new_bank(self) -> str:
        """An empty one."""
        name = f"bank-{uuid.uuid4().hex[:8]}"
        with self.client("admin") as admin:
            admin.create_bank(name, action=Action.REVIEW, thresholds=KINDS)
        return name

    def hashes(self, bank: str) -> dict[str, list[Hash]]:
        """Of each entry in use, by its reference."""
        found: dict[str, list[Hash]] = {}
        with self.client("auditor") as auditor:
            for part in auditor.export_entries(bank):
                found.setdefault(part.entry.ref.reference, []).extend(part.hashes)
        return found


@pytest.fixture(scope="module", params=SERVED)
def staff(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Staff]:
    """On each sort of database."""
    settings = {"unsafe_no_auth": "false"}
    if request.param == "postgresql":
        settings["database"] = postgres().new()
    with serving(tmp_path_factory.mktemp("exports"), **settings) as server:
        tokens = {role.name.lower(): new_token() for role in Role}
        with Client(server.address, token=server.first_token) as admin:
            admin.create_bank("many", action=Action.BLOCK, thresholds=KINDS)
            admin.create_bank("other", action=Action.BLOCK, thresholds=KINDS)
            for role in Role:
                admin.create_caller(
                    role.name.lower(), roles=[role], token=tokens[role.name.lower()]
                )
            tokens["elsewhere"] = new_token()
            admin.create_caller(
                "elsewhere",
                roles=[Role.CURATOR, Role.APPROVER],
                token=tokens["elsewhere"],
                banks=["other"],
            )
        made = Staff(server, tokens, "many")
        with made.client("curator") as curator:
            done = curator.import_entries("many", made_up(1).encode(), timeout_seconds=120)
            assert (done.created, done.broken) == (ENTRIES, 0)
        yield made


def test_all_goes_from_one_bank_to_another(staff: Staff, tmp_path: Path) -> None:
    """A partner would find less, or see which second shows what no more."""
    original = staff.hashes(staff.bank)
    assert len(original) == ENTRIES
    assert len({each for some in original.values() for each in some}) == sum(
        map(len, original.values())
    )
    for form in ("csv", "jsonl"):
        file, copy = tmp_path / f"list.{form}", staff.new_bank()
        staff.run("auditor", "entry", "export", staff.bank, "--format", form, "-o", file)
        done = staff.run("curator", "import", "add", file, "--bank", copy, "--json")
        told = json.loads(done.stdout)["import"]
        assert (told["created"], told["broken"]) == (f"{ENTRIES}", "0")
        assert staff.hashes(copy) == original
        # What came that way is known again.
        again = staff.run("curator", "import", "add", file, "--bank", copy, "--json")
        assert json.loads(again.stdout)["import"]["known"] == f"{ENTRIES}"


@pytest.mark.parametrize(
    ("form", "kinds"), [("hashes", [Kind.PDQ]), ("threatexchange", [Kind.PDQ, Kind.MD5])]
)
def test_every_hash_goes_where_a_format_knows_no_entries(
    staff: Staff, tmp_path: Path, form: str, kinds: list[Kind]
) -> None:
    """Some would be missing, and nobody be told."""
    every = [each for some in staff.hashes(staff.bank).values() for each in some]
    expected = Counter((each.kind, each.digest) for each in every if each.kind in kinds)
    file, copy = tmp_path / "list", staff.new_bank()
    said = ["--kind", "pdq"] if form == "hashes" else []
    export = ["entry", "export", staff.bank, "--format", form, *said, "-o", f"{file}", "--json"]
    told = json.loads(staff.run("approver", *export).stdout)["export"]
    assert told["hashes"] == expected.total()
    assert told["not_kept"]["entries"] == (FILMS if form == "hashes" else FILMS + FILES)
    assert told["not_kept"]["times"] == FILMS * (LENGTH - 1)
    patches = {} if form == "hashes" else {"kinds": FILMS * LENGTH}
    assert told["left_out"] == patches
    staff.run("curator", "import", "add", file, "--bank", copy, *said)
    with staff.client("curator") as curator:
        found = Counter(
            (each.kind, each.digest)
            for part in curator.export_entries(copy)
            for each in part.hashes
        )
    assert found == expected


def test_films_go_as_vpdq_writes_them(staff: Staff, tmp_path: Path) -> None:
    """A file for each, with the seconds of its frames."""
    folder, copy = tmp_path / "films", staff.new_bank()
    export = ["entry", "export", staff.bank, "--format", "vpdq", "-o", f"{folder}", "--json"]
    told = json.loads(staff.run("admin", *export).stdout)["export"]
    assert told["entries"] == ENTRIES
    assert told["left_out"] == {"kinds": FILES + FILMS * LENGTH}
    original: dict[str, list[Hash]] = {}
    with staff.client("auditor") as auditor:
        for part in auditor.export_entries(staff.bank, kinds=[Kind.PDQ]):
            plain = [Hash(*each[:4]) for each in part.hashes]
            original.setdefault(f"{part.entry.ref.entry_id}.txt", []).extend(plain)
    files = sorted(folder.iterdir())
    assert [each.name for each in files] == sorted(original)
    for file in files:
        reader = ListReader(frozenset(KINDS), Format.VPDQ)
        reader.feed(file.read_bytes())
        (item,) = reader.finish()
        assert isinstance(item, Item)
        assert item.hashes == original[file.name]
    some = files[::60]
    with staff.client("curator") as curator:
        for file in some:
            made = curator.import_entries(copy, file, reference=file.name)
            assert (made.created, made.format) == (1, Format.VPDQ)
    assert staff.hashes(copy) == {file.name: original[file.name] for file in some}


def test_who_may_and_who_may_not(staff: Staff) -> None:
    """Hashes of children's abuse would get into the hands of whoever asks."""
    for who in ("auditor", "admin", "curator", "approver"):
        with staff.client(who) as client:
            assert next(client.export_entries(staff.bank)).hashes
    for who in ("pipeline", "reviewer", "elsewhere"):
        with staff.client(who) as client, pytest.raises(PermissionDenied):
            next(client.export_entries(staff.bank))
    with staff.client("elsewhere") as client:
        assert list(client.export_entries("other")) == []
    with staff.client("auditor") as auditor:
        bank_id = auditor.get_bank(staff.bank).bank_id
        rows = list(auditor.list_audit_rows(subject=bank_id))
    told = [row for row in rows if row.action == "entries_exported"]
    assert {row.actor_name for row in told} == {"auditor", "admin", "curator", "approver"}
    assert json.loads(told[0].details)["state"] == EntryState.ACTIVE.name
    assert "elsewhere" not in {row.actor_name for row in rows}


def test_an_export_that_is_killed_goes_on(tmp_path: Path) -> None:
    """A list of a night would begin anew in the morning; or have lines twice."""
    count = 60_000
    digests = np.random.default_rng(7).integers(0, 256, (count, 32), np.uint8)
    text = "".join(each.tobytes().hex() + "\n" for each in digests)
    with serving(tmp_path / "data", unsafe_no_auth="false") as server:
        staff = Staff(server, {"all": new_token()}, "many")
        with Client(server.address, token=server.first_token) as admin:
            admin.create_bank("many", action=Action.BLOCK, thresholds={Kind.PDQ: 31})
            roles = [Role.CURATOR, Role.AUDITOR]
            admin.create_caller("all", roles=roles, token=staff.tokens["all"])
        with staff.client("all") as client:
            client.import_entries("many", text.encode(), kind=Kind.PDQ, timeout_seconds=120)
        file = tmp_path / "list.csv"
        command = staff.command("entry", "export", "many", "--format", "csv", "-o", file)
        state = tmp_path / "list.csv.part.json"
        with subprocess.Popen(command, env=staff.environment("all")) as killed:
            deadline = time.monotonic() + 60
            while not state.exists():
                assert time.monotonic() < deadline
                assert killed.poll() is None, "it was over before anything was kept"
                time.sleep(0.01)
            killed.send_signal(signal.SIGKILL)
        assert not file.exists()
        kept = json.loads(state.read_text())["tally"]["entries"]
        assert 0 < kept < count
        done = subprocess.run(
            command, env=staff.environment("all"), capture_output=True, text=True, check=True
        )
        assert f"going on after {kept} entries" in done.stderr
        lines = file.read_text().splitlines()
        assert [line.split(",")[5] for line in lines[1:]] == text.split()
        assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "list.csv"]
