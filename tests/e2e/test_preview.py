"""What an entry would do is told before it does it: over gRPC, by those who keep the blocklist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashmatch.errors import InvalidField, PermissionDenied, SecondPersonNeeded
from hashmatch.model.imports import ImportState
from hashmatch.model.verdicts import Action, Activation, EntryState, Kind, Verdict
from tests.staff import Staff
from tests.support import clip, digests, encoded, image, picture

CLIP = clip([301, 302, 303, 304])
PART = clip([350, 302, 303, 351], quality=5)


def cropped(seed: int) -> bytes:
    """What is left of `image` in a size of its own: squares alone find it."""
    whole = Image.fromarray(picture(seed, 480, 480))
    return encoded(whole.crop((60, 60, 420, 420)))


def test_what_is_told_is_what_comes(staff: Staff) -> None:
    """A curator would learn from an outcry what his entry does."""
    uploads = [CLIP, PART, clip([370, 371]), image(372), clip([373, 303])]
    screened = [staff.pipeline.screen(each) for each in uploads]
    assert {each.verdict for each in screened} == {Verdict.NO_MATCH}
    harmless = staff.bank(action=Action.OVERRULE)
    benign = staff.curator.add_entry(harmless, clip([380, 303]), reference="a title card")
    other = staff.curator.add_entry(harmless, clip([381, 382]))
    bank = staff.bank()
    proposed = staff.curator.add_entry(bank, CLIP, reference="case 7", pending=True)
    assert proposed.state is EntryState.PENDING
    entry_id = proposed.ref.entry_id
    assert staff.pipeline.screen(CLIP).verdict is Verdict.NO_MATCH
    # Of these uploads alone, and not of those of other tests before.
    found = staff.curator.preview_entry(entry_id, screenings=6)
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
    assert staff.curator.approve_entry(entry_id).state is EntryState.ACTIVE
    told = {each.screening_id: each for each in found.screening_samples}
    for before in screened:
        now = staff.pipeline.confirm(before.screening_id)
        would_be = told[now.screening_id].would_be if now.screening_id in told else None
        assert now.verdict is (would_be or Verdict.NO_MATCH)
        full = staff.reviewer.get_screening(now.screening_id)
        evidence = told[now.screening_id].evidence if would_be else ()
        assert (*full.evidence, *full.unacted) == evidence
    assert staff.pipeline.screen(CLIP).verdict is Verdict.BLOCK
    after = staff.auditor.preview_entry(entry_id, screenings=7).screenings
    assert (after.would_block, after.newly_held) == (4, 1)  # One was not confirmed.
    rows = staff.auditor.list_audit_rows(subject=entry_id)
    assert [(row.actor_name, row.action) for row in rows] == [
        ("auditor", "entry_previewed"),
        ("curator", "entry_approved"),
        ("curator", "entry_previewed"),
        ("curator", "entry_proposed"),
    ]


def test_crops_are_told_too(staff: Staff) -> None:
    """Squares are weighed otherwise than frames, and would be left out."""
    crop = staff.pipeline.screen(cropped(401))
    assert crop.verdict is Verdict.NO_MATCH
    proposed = staff.curator.add_entry(staff.bank(), image(401, 480, 480), pending=True)
    found = staff.curator.preview_entry(proposed.ref.entry_id)
    (sample,) = found.screening_samples
    assert sample.screening_id == crop.screening_id
    assert {each.kind for each in sample.evidence} == {Kind.PDQ_PATCH}
    staff.curator.approve_entry(proposed.ref.entry_id)
    now = staff.pipeline.confirm(crop.screening_id)
    full = staff.reviewer.get_screening(crop.screening_id)
    assert (now.verdict, full.evidence) == (sample.would_be, sample.evidence)


def test_an_import_is_previewed(staff: Staff) -> None:
    """A list of a partner's would be on before anybody knows whom it holds."""
    bank = staff.bank(thresholds={Kind.PDQ: 31}, activation=Activation.TWO_PERSON)
    one = staff.bank(thresholds={Kind.PDQ: 31})
    staff.pipeline.screen(image(420))
    staff.curator.add_entry(one, image(421), pending=True)
    # Its hash is known by what a screening shows of none: taken from an entry's own list.
    some = np.concatenate([digests(1, 30), _pdq(420)])
    text = "".join(f"{each.tobytes().hex()}\n" for each in some).encode()
    for name in (bank, one):
        made = staff.curator.import_entries(name, text, kind=Kind.PDQ, pending=True)
        assert made.state is ImportState.PENDING
        found = staff.curator.preview_import(made.import_id, benign=False)
        assert (found.entries, found.kinds, found.benign.compared) == (31, (Kind.PDQ,), 0)
        assert found.screenings.newly_held >= 1
        assert all(each.evidence[0].entry.bank_name == name for each in found.screening_samples)
    with pytest.raises(PermissionDenied):
        staff.curator.approve_import(next(_pending(staff, bank)))
    ready = staff.curator.approve_import(next(_pending(staff, one)))
    assert ready.state is ImportState.ACTIVE
    assert staff.pipeline.screen(image(420)).verdict is Verdict.BLOCK
    staff.curator.withdraw_import(ready.import_id)


def _pdq(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Of `image`."""
    import pdqhash

    bits, _ = pdqhash.compute(picture(seed))
    return np.packbits(bits).reshape(1, 32)


def _pending(staff: Staff, bank: str) -> Iterator[str]:
    return (
        each.import_id
        for each in staff.auditor.list_imports()
        if each.bank_name == bank and each.state is ImportState.PENDING
    )


def test_who_may_ask(staff: Staff) -> None:
    """A preview tells of uploads: as little as may be, and to few."""
    bank = staff.bank()
    entry_id = staff.curator.add_entry(bank, image(440), pending=True).ref.entry_id
    hashes = f"{_pdq(442).tobytes().hex()}\n".encode()
    import_id = staff.curator.import_entries(bank, hashes, kind=Kind.PDQ, pending=True).import_id
    for allowed in (staff.curator, staff.approver, staff.auditor):
        assert allowed.preview_entry(entry_id, screenings=1).screenings.compared == 1
    for denied in (staff.elsewhere, staff.reviewer, staff.pipeline, staff.admin):
        with pytest.raises(PermissionDenied):
            denied.preview_entry(entry_id)
        with pytest.raises(PermissionDenied):
            denied.preview_import(import_id)
    # A curator approves his own alone, and an approver anybody's.
    with pytest.raises(PermissionDenied):
        staff.elsewhere.approve_entry(entry_id)
    assert staff.approver.approve_entry(entry_id).state is EntryState.ACTIVE
    for screenings in (-1, 10_001):
        with pytest.raises(InvalidField):
            staff.curator.preview_entry(entry_id, screenings=screenings)
    # In a bank of two persons it takes two, whatever was previewed.
    two = staff.bank(activation=Activation.TWO_PERSON)
    waiting = staff.ayu.add_entry(two, image(441), pending=True)
    staff.ayu.preview_entry(waiting.ref.entry_id)
    with pytest.raises(SecondPersonNeeded):
        staff.ayu.approve_entry(waiting.ref.entry_id)


def test_the_commands(staff: Staff, tmp_path: Path) -> None:
    """Curators work in terminals."""
    (tmp_path / "clip.mkv").write_bytes(clip([460, 461]))
    (tmp_path / "list.txt").write_text(_pdq(462).tobytes().hex())
    for upload in (clip([460, 461], quality=6), image(462)):
        assert staff.pipeline.screen(upload).verdict is Verdict.NO_MATCH
    harmless = staff.bank(action=Action.OVERRULE)
    staff.curator.add_entry(harmless, image(462), reference="a very long name " * 10)
    bank = staff.bank()

    def run(*arguments: str) -> str:
        return staff.run("curator", *arguments).out

    add = ["entry", "add", "--bank", bank, "--pending", "--json", str(tmp_path / "clip.mkv")]
    entry_id = json.loads(run(*add))["entry"]["ref"]["entry_id"]
    shown = run("entry", "preview", entry_id)
    assert "NO_MATCH  would be BLOCK" in shown
    assert "newly held" in shown
    told = json.loads(run("entry", "preview", entry_id, "--screenings", "5", "--json"))["preview"]
    assert told["screenings"]["newly_held"] == "1"
    listed = ["import", "add", str(tmp_path / "list.txt"), "--bank", bank, "--kind", "pdq"]
    import_id = json.loads(run(*listed, "--pending", "--json"))["import"]["import_id"]
    shown = run("import", "preview", import_id)
    assert "would be BLOCK" in shown
    assert f"benign ({harmless})" in shown.replace("\n", " ")
    assert "would be nothing" in shown
    without = json.loads(run("import", "preview", import_id, "--no-benign", "--json"))["preview"]
    assert without["benign_samples"] == []
