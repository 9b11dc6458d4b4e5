"""Entries go from one bank to another as lists, by real callers over gRPC."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hashmatch.errors import PermissionDenied
from hashmatch.lists.reader import Item, ListReader
from hashmatch.model.exports import Hash
from hashmatch.model.imports import Format
from hashmatch.model.verdicts import Action, EntryState, Kind
from tests.staff import Staff

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


# Ends itself as `kill -9` does, in the middle of a list: some entries after the last that is safe.
KILLED = """
import math, os, signal
from hashmatch import cli
from hashmatch.cli import exports
from hashmatch.cli.list_files import ListFile

class Killed(ListFile):
    written = 0

    def write(self, text, name="", *, more=False):
        super().write(text, name, more=more)
        self.written += 1
        if self.written == 1500:
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def keep(self, resume_token, tally):
        if tally["entries"] >= 500:
            super().keep(resume_token, tally)
            exports._KEEP_SECONDS = math.inf

exports.ListFile, exports._KEEP_SECONDS = Killed, 0.0
cli.main()
"""


def new_bank(staff: Staff) -> str:
    """The name of an empty bank."""
    return staff.bank(action=Action.REVIEW, thresholds=KINDS)


def hashes(staff: Staff, bank: str) -> dict[str, list[Hash]]:
    """The hashes of each active entry, by its reference."""
    found: dict[str, list[Hash]] = {}
    for part in staff.auditor.export_entries(bank):
        found.setdefault(part.entry.ref.reference, []).extend(part.hashes)
    return found


@pytest.fixture(scope="module")
def bank(staff: Staff) -> str:
    """The name of a bank of many entries."""
    name = staff.bank(thresholds=KINDS)
    done = staff.curator.import_entries(name, made_up(1).encode(), timeout_seconds=120)
    assert (done.created, done.broken) == (ENTRIES, 0)
    return name


def test_all_goes_from_one_bank_to_another(staff: Staff, bank: str, tmp_path: Path) -> None:
    """A partner would find less, or see which second shows what no more."""
    original = hashes(staff, bank)
    assert len(original) == ENTRIES
    assert len({each for some in original.values() for each in some}) == sum(
        map(len, original.values())
    )
    for form in ("csv", "jsonl"):
        file, copy = tmp_path / f"list.{form}", new_bank(staff)
        staff.run("auditor", "entry", "export", bank, "--format", form, "-o", file)
        done = staff.run("curator", "import", "add", file, "--bank", copy, "--json")
        told = done.object["import"]
        assert (told["created"], told["broken"]) == (f"{ENTRIES}", "0")
        assert hashes(staff, copy) == original
        # What came that way is known again.
        again = staff.run("curator", "import", "add", file, "--bank", copy, "--json")
        assert again.object["import"]["known"] == f"{ENTRIES}"


@pytest.mark.parametrize(
    ("form", "kinds"), [("hashes", [Kind.PDQ]), ("threatexchange", [Kind.PDQ, Kind.MD5])]
)
def test_every_hash_goes_where_a_format_knows_no_entries(
    staff: Staff, bank: str, tmp_path: Path, form: str, kinds: list[Kind]
) -> None:
    """Some would be missing, and nobody be told."""
    every = [each for some in hashes(staff, bank).values() for each in some]
    expected = Counter((each.kind, each.digest) for each in every if each.kind in kinds)
    file, copy = tmp_path / "list", new_bank(staff)
    said = ["--kind", "pdq"] if form == "hashes" else []
    export = ["entry", "export", bank, "--format", form, *said, "-o", f"{file}", "--json"]
    told = staff.run("approver", *export).object["export"]
    assert told["hashes"] == expected.total()
    assert told["not_kept"]["entries"] == (FILMS if form == "hashes" else FILMS + FILES)
    assert told["not_kept"]["times"] == FILMS * (LENGTH - 1)
    patches = {} if form == "hashes" else {"kinds": FILMS * LENGTH}
    assert told["left_out"] == patches
    staff.run("curator", "import", "add", file, "--bank", copy, *said)
    found = Counter(
        (each.kind, each.digest)
        for part in staff.curator.export_entries(copy)
        for each in part.hashes
    )
    assert found == expected


def test_films_go_as_vpdq_writes_them(staff: Staff, bank: str, tmp_path: Path) -> None:
    """A file for each, with the seconds of its frames."""
    folder, copy = tmp_path / "films", new_bank(staff)
    export = ["entry", "export", bank, "--format", "vpdq", "-o", f"{folder}", "--json"]
    told = staff.run("admin", *export).object["export"]
    assert told["entries"] == ENTRIES
    assert told["left_out"] == {"kinds": FILES + FILMS * LENGTH}
    original: dict[str, list[Hash]] = {}
    for part in staff.auditor.export_entries(bank, kinds=[Kind.PDQ]):
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
    for file in some:
        made = staff.curator.import_entries(copy, file, reference=file.name)
        assert (made.created, made.format) == (1, Format.VPDQ)
    assert hashes(staff, copy) == {file.name: original[file.name] for file in some}


def test_who_may_and_who_may_not(staff: Staff, bank: str) -> None:
    """Hashes of children's abuse would get into the hands of whoever asks."""
    bank_id = staff.auditor.get_bank(bank).bank_id
    before = len(list(staff.auditor.list_audit_rows(subject=bank_id)))
    for client in (staff.auditor, staff.admin, staff.curator, staff.approver):
        assert next(client.export_entries(bank)).hashes
    for client in (staff.pipeline, staff.reviewer, staff.elsewhere):
        with pytest.raises(PermissionDenied):
            next(client.export_entries(bank))
    assert list(staff.elsewhere.export_entries("elsewhere")) == []
    rows = list(staff.auditor.list_audit_rows(subject=bank_id))
    rows = rows[: len(rows) - before]
    told = [row for row in rows if row.action == "entries_exported"]
    assert {row.actor_name for row in told} == {"auditor", "admin", "curator", "approver"}
    assert json.loads(told[0].details)["state"] == EntryState.ACTIVE.name
    assert "elsewhere" not in {row.actor_name for row in rows}


def test_an_export_that_is_killed_goes_on(staff: Staff, bank: str, tmp_path: Path) -> None:
    """A list of a night would begin anew in the morning; or have lines twice."""
    file, whole = tmp_path / "list.csv", tmp_path / "whole.csv"
    command = ["entry", "export", bank, "--format", "csv", "-o"]
    variables = {"HASHMATCH_SERVER": staff.server.address, "HASHMATCH_TOKEN": staff.tokens["ayu"]}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *command, file], env={**os.environ, **variables}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not file.exists()
    kept = json.loads((tmp_path / "list.csv.part.json").read_text())["tally"]["entries"]
    assert kept == 500
    assert (tmp_path / "list.csv.part").read_text().count("\n") >= 1500
    done = staff.run("ayu", *command, file)
    assert f"going on after {kept} entries" in done.err
    staff.run("ayu", *command, whole)
    assert file.read_bytes() == whole.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["list.csv", "whole.csv"]
