"""Every broken file is INCONCLUSIVE with the reason that its name says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hashmatch.client import Client
from hashmatch.model.verdicts import Action, Verdict, VerdictReason
from tests.support import new_id


@pytest.fixture(scope="module")
def screener(client: Client, media: Path) -> Iterator[Client]:
    """A client of a server with an entry that none of the broken files shows."""
    bank = client.create_bank(f"any-{new_id()[:8]}", action=Action.BLOCK)
    client.add_entry(bank.bank_id, media / "clips" / "mandelbrot.mp4")
    yield client
    client.archive_bank(bank.bank_id)


def test_broken_files_are_inconclusive_with_their_reason(screener: Client, media: Path) -> None:
    """A file that cannot be looked at in whole would be published as if it had been."""
    files = sorted((media / "broken").iterdir())
    reasons = {path.name.partition("--")[0] for path in files}
    assert {"empty", "unsupported", "truncated", "corrupt", "all_frames_flat"} <= reasons
    assert {"duration_limit", "frame_size_limit"} <= reasons
    wrong = []
    for path in files:
        screening = screener.screen(path)
        expected = VerdictReason[path.name.partition("--")[0].upper()]
        codes = [reason.code for reason in screening.reasons]
        if screening.verdict is not Verdict.INCONCLUSIVE or codes[0] is not expected:
            wrong.append((path.name, screening.verdict.name, [code.name for code in codes]))
    assert not wrong


def test_healthy_files_are_looked_at_in_whole(screener: Client, media: Path) -> None:
    """Files of an ordinary make would be held back as unreadable."""
    wrong = []
    for folder in ("clips", "images"):
        for path in sorted((media / folder).iterdir()):
            if path.name == "pan_coffee.mp4":
                continue
            screening = screener.screen(path)
            if screening.verdict not in (Verdict.NO_MATCH, Verdict.BLOCK):
                wrong.append((path.name, screening.reasons))
    assert not wrong
