"""What an entry would do is told before it does it: over gRPC, by those who keep the blocklist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from hashmatch.client import Client
from hashmatch.errors import InvalidField, PermissionDenied, SecondPersonNeeded
from hashmatch.model.callers import Role, new_token
from hashmatch.model.imports import ImportState
from hashmatch.model.verdicts import Action, Activation, EntryState, Kind, Verdict
from tests.conftest import RunningServer, serving
from tests.databases import SERVED, postgres
from tests.support import clip, digests, encoded, image, picture

CLIP = clip([1, 2, 3, 4])
PART = clip([50, 2, 3, 51], quality=5)


@dataclass(frozen=True)
class Staff:
    """A server, who keeps its blocklist, and who uploads."""

    server: RunningServer
    tokens: dict[str, str]
    admin: Client
    ayu: Client  # Curator.
    budi: Client  # Approver.
    citra: Client  # Curator of other banks.
    dewi: Client  # Auditor.
    eka: Client  # Reviewer.
    pipeline: Client

    def bank(self, **more: object) -> str:
        """A new one that blocks, unless it is told otherwise."""
        name = f"bank-{uuid.uuid4().hex[:8]}"
        self.admin.create_bank(name, **{"action": Action.BLOCK, **more})  # type: ignore[arg-type]
        return name


@pytest.fixture(scope="module", params=SERVED)
def staff(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Staff]:
    """On each sort of database."""
    settings = {"unsafe_no_auth": "false"}
    if request.param == "postgresql":
        settings["database"] = postgres().new()
    with serving(tmp_path_factory.mktemp("preview"), **settings) as server:
        admin = Client(server.address, token=server.first_token, timeout_seconds=60)
        admin.create_bank("elsewhere", action=Action.BLOCK)
        tokens = {}
        clients = []
        for name, role, banks in (
            ("ayu", Role.CURATOR, ()),
            ("budi", Role.APPROVER, ()),
            ("citra", Role.CURATOR, ["elsewhere"]),
            ("dewi", Role.AUDITOR, ()),
            ("eka", Role.REVIEWER, ()),
            ("pipeline", Role.PIPELINE, ()),
        ):
            tokens[name] = new_token()
            admin.create_caller(name, roles=[role], token=tokens[name], banks=banks)
            clients.append(Client(server.address, token=tokens[name], timeout_seconds=60))
        made = Staff(server, tokens, admin, *clients)
        made.ayu.add_entry(made.bank(), image(99))  # So that the blocklist is not empty.
        yield made
        for client in (admin, *clients):
            client.close()


def cropped(seed: int) -> bytes:
    """What is left of `image` in a size of its own: squares alone find it."""
    whole = Image.fromarray(picture(seed, 480, 480))
    return encoded(whole.crop((60, 60, 420, 420)))


def test_what_is_told_is_what_comes(staff: Staff) -> None:
    """A curator would learn from an outcry what his entry does."""
    uploads = [CLIP, PART, clip([70, 71]), image(72), clip([73, 3])]
    screened = [staff.pipeline.screen(each) for each in uploads]
    assert {each.verdict for each in screened} == {Verdict.NO_MATCH}
    harmless = staff.bank(action=Action.OVERRULE)
    benign = staff.ayu.add_entry(harmless, clip([80, 3]), reference="a title card")
    other = staff.ayu.add_entry(harmless, clip([81, 82]))
    bank = staff.bank()
    proposed = staff.ayu.add_entry(bank, CLIP, reference="case 7", pending=True)
    assert proposed.state is EntryState.PENDING
    entry_id = proposed.ref.entry_id
    assert staff.pipeline.screen(CLIP).verdict is Verdict.NO_MATCH
    found = staff.ayu.preview_entry(entry_id)
    assert set(found.kinds) == {Kind.SHA256, Kind.PDQ, Kind.PDQ_PATCH}
    tally = found.screenings
    assert (tally.compared, tally.partly_compared, tally.not_compared) == (6, 0, 0)
    # The clip itself, twice; part of it. What shows a harmless second alone is overruled.
    expected = {screened[0].screening_id, screened[1].screening_id}
    held = {
        each.screening_id
        for each in found.screening_samples
        if each.would_be is Verdict.BLOCK and each.verdict is Verdict.NO_MATCH
    }
    assert expected < held
    assert len(held) == tally.would_block == tally.newly_held == 3
    overruled = {
        each.screening_id for each in found.screening_samples if each.would_be is Verdict.NO_MATCH
    }
    assert overruled == {screened[4].screening_id}
    assert (tally.would_review, tally.without_effect) == (0, 1)
    shown = [each.entry.entry_id for each in found.benign_samples]
    assert shown == [benign.ref.entry_id]
    assert (found.benign.compared, found.benign.would_block) == (2, 1)
    assert other.ref.entry_id not in shown
    # He who proposed it brings it into use; then it does as was told.
    assert staff.ayu.approve_entry(entry_id).state is EntryState.ACTIVE
    told = {each.screening_id: each for each in found.screening_samples}
    for before in screened:
        now = staff.pipeline.confirm(before.screening_id)
        would_be = told[now.screening_id].would_be if now.screening_id in told else None
        assert now.verdict is (would_be or Verdict.NO_MATCH)
        full = staff.eka.get_screening(now.screening_id)
        evidence = told[now.screening_id].evidence if would_be else ()
        assert (*full.evidence, *full.unacted) == evidence
    assert staff.pipeline.screen(CLIP).verdict is Verdict.BLOCK
    after = staff.dewi.preview_entry(entry_id).screenings
    assert (after.would_block, after.newly_held) == (4, 1)  # One was not confirmed.
    rows = staff.dewi.list_audit_rows(subject=entry_id)
    assert [(row.actor_name, row.action) for row in rows] == [
        ("dewi", "entry_previewed"),
        ("ayu", "entry_approved"),
        ("ayu", "entry_previewed"),
        ("ayu", "entry_proposed"),
    ]


def test_crops_are_told_too(staff: Staff) -> None:
    """Squares are weighed otherwise than frames, and would be left out."""
    crop = staff.pipeline.screen(cropped(101))
    assert crop.verdict is Verdict.NO_MATCH
    proposed = staff.ayu.add_entry(staff.bank(), image(101, 480, 480), pending=True)
    found = staff.ayu.preview_entry(proposed.ref.entry_id)
    (sample,) = found.screening_samples
    assert sample.screening_id == crop.screening_id
    assert {each.kind for each in sample.evidence} == {Kind.PDQ_PATCH}
    staff.ayu.approve_entry(proposed.ref.entry_id)
    now = staff.pipeline.confirm(crop.screening_id)
    full = staff.eka.get_screening(crop.screening_id)
    assert (now.verdict, full.evidence) == (sample.would_be, sample.evidence)


def test_an_import_is_previewed(staff: Staff) -> None:
    """A list of a partner's would be on before anybody knows whom it holds."""
    bank = staff.bank(thresholds={Kind.PDQ: 31}, activation=Activation.TWO_PERSON)
    one = staff.bank(thresholds={Kind.PDQ: 31})
    staff.pipeline.screen(image(120))
    staff.ayu.add_entry(one, image(121), pending=True)
    # Its hash is known by what a screening shows of none: taken from an entry's own list.
    some = np.concatenate([digests(1, 30), _pdq(120)])
    text = "".join(f"{each.tobytes().hex()}\n" for each in some).encode()
    for name in (bank, one):
        made = staff.ayu.import_entries(name, text, kind=Kind.PDQ, pending=True)
        assert made.state is ImportState.PENDING
        found = staff.ayu.preview_import(made.import_id, benign=False)
        assert (found.entries, found.kinds, found.benign.compared) == (31, (Kind.PDQ,), 0)
        assert found.screenings.newly_held >= 1
        assert all(each.evidence[0].entry.bank_name == name for each in found.screening_samples)
    with pytest.raises(PermissionDenied):
        staff.ayu.approve_import(next(_pending(staff, bank)))
    ready = staff.ayu.approve_import(next(_pending(staff, one)))
    assert ready.state is ImportState.ACTIVE
    assert staff.pipeline.screen(image(120)).verdict is Verdict.BLOCK
    staff.ayu.withdraw_import(ready.import_id)


def _pdq(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Of `image`."""
    import pdqhash

    bits, _ = pdqhash.compute(picture(seed))
    return np.packbits(bits).reshape(1, 32)


def _pending(staff: Staff, bank: str) -> Iterator[str]:
    return (
        each.import_id
        for each in staff.dewi.list_imports()
        if each.bank_name == bank and each.state is ImportState.PENDING
    )


def test_who_may_ask(staff: Staff) -> None:
    """A preview tells of uploads: as little as may be, and to few."""
    bank = staff.bank()
    entry_id = staff.ayu.add_entry(bank, image(140), pending=True).ref.entry_id
    hashes = f"{_pdq(142).tobytes().hex()}\n".encode()
    import_id = staff.ayu.import_entries(bank, hashes, kind=Kind.PDQ, pending=True).import_id
    for allowed in (staff.ayu, staff.budi, staff.dewi):
        assert allowed.preview_entry(entry_id, screenings=1).screenings.compared == 1
    for denied in (staff.citra, staff.eka, staff.pipeline, staff.admin):
        with pytest.raises(PermissionDenied):
            denied.preview_entry(entry_id)
        with pytest.raises(PermissionDenied):
            denied.preview_import(import_id)
    # A curator approves his own alone, and an approver anybody's.
    with pytest.raises(PermissionDenied):
        staff.citra.approve_entry(entry_id)
    assert staff.budi.approve_entry(entry_id).state is EntryState.ACTIVE
    for screenings in (-1, 10_001):
        with pytest.raises(InvalidField):
            staff.ayu.preview_entry(entry_id, screenings=screenings)
    # In a bank of two persons it takes two, whatever was previewed.
    two = staff.bank(activation=Activation.TWO_PERSON)
    both = new_token()
    staff.admin.create_caller(f"fitri-{two}", roles=[Role.CURATOR, Role.APPROVER], token=both)
    with Client(staff.server.address, token=both) as fitri:
        waiting = fitri.add_entry(two, image(141), pending=True)
        fitri.preview_entry(waiting.ref.entry_id)
        with pytest.raises(SecondPersonNeeded):
            fitri.approve_entry(waiting.ref.entry_id)


def test_the_commands(staff: Staff, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Curators work in terminals."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "clip.mkv").write_bytes(clip([160, 161]))
    (folder / "list.txt").write_text(_pdq(162).tobytes().hex())
    for upload in (clip([160, 161], quality=6), image(162)):
        assert staff.pipeline.screen(upload).verdict is Verdict.NO_MATCH
    harmless = staff.bank(action=Action.OVERRULE)
    staff.ayu.add_entry(harmless, image(162), reference="a very long name " * 10)
    bank = staff.bank()

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "hashmatch", *arguments, "--server", staff.server.address],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "HASHMATCH_TOKEN": staff.tokens["ayu"], "COLUMNS": "80"},
        )
        lines = done.stdout.splitlines()
        assert "--json" in arguments or max(map(len, lines)) <= 80, done.stdout
        return done.stdout

    add = ["entry", "add", "--bank", bank, "--pending", "--json", str(folder / "clip.mkv")]
    entry_id = json.loads(run(*add))["entry"]["ref"]["entry_id"]
    shown = run("entry", "preview", entry_id)
    assert "NO_MATCH  would be BLOCK" in shown
    assert "newly held" in shown
    told = json.loads(run("entry", "preview", entry_id, "--screenings", "5", "--json"))["preview"]
    assert told["screenings"]["newly_held"] == "1"
    listed = ["import", "add", str(folder / "list.txt"), "--bank", bank, "--kind", "pdq"]
    import_id = json.loads(run(*listed, "--pending", "--json"))["import"]["import_id"]
    shown = run("import", "preview", import_id)
    assert "would be BLOCK" in shown
    assert f"benign ({harmless})" in shown.replace("\n", " ")
    assert "would be nothing" in shown
    without = json.loads(run("import", "preview", import_id, "--no-benign", "--json"))["preview"]
    assert without["benign_samples"] == []
