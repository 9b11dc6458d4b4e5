"""Verdicts while the upload is still under way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fixtures.transcode import transcode
from hashmatch.client import Client
from hashmatch.model.verdicts import Action, Turn, Verdict, VerdictReason


class Gated:
    """A file of which the last part is sent only once the gate is opened."""

    def __init__(self, data: bytes, held_back: int) -> None:
        self._data = data
        self._gate_at = len(data) - held_back
        self._offset = 0
        self.gate = threading.Event()

    def seekable(self) -> bool:
        return False

    def read(self, size: int) -> bytes:
        if self._offset >= self._gate_at:
            self.gate.wait(30)
            end = self._offset + size
        else:
            end = min(self._offset + size, self._gate_at)
        chunk = self._data[self._offset : end]
        self._offset += len(chunk)
        return chunk


@pytest.mark.parametrize("name", ["pan_astronaut.mp4", "pan_astronaut.webm"])
def test_a_sure_block_comes_before_the_upload_ends(
    client: Client, media: Path, tmp_path: Path, name: str
) -> None:
    """The uploader of a known clip would send all of it, and the worker decode all of it."""
    target = tmp_path / name
    codec = {"codec": "libvpx", "options": {"b": "300k"}} if name.endswith("webm") else {}
    transcode(media / "clips" / "pan_astronaut.mp4", target, **codec)  # type: ignore[arg-type]
    bank = client.create_bank(f"early-{target.suffix[1:]}", action=Action.BLOCK)
    client.add_entry(bank.name, media / "clips" / "pan_astronaut.mp4")
    upload = Gated(target.read_bytes(), held_back=2000)
    screening = client.screen(upload, timeout_seconds=20)  # type: ignore[arg-type]
    assert not upload.gate.is_set()
    upload.gate.set()
    client.archive_bank(bank.name)
    assert screening.verdict is Verdict.BLOCK
    assert VerdictReason.DECIDED_EARLY in [reason.code for reason in screening.reasons]
    assert not screening.coverage.complete
    assert screening.media.sha256 == b""


def test_mirrored_and_turned_copies_are_found(client: Client, media: Path, tmp_path: Path) -> None:
    """A copy that was only mirrored or turned would pass."""
    bank = client.create_bank("turned", action=Action.BLOCK)
    client.add_entry(bank.name, media / "clips" / "pan_astronaut.mp4", reference="original")
    for filters, turn in (("hflip", Turn.FLIP_HORIZONTAL), ("transpose=1", Turn.ROTATE_90)):
        target = tmp_path / f"{turn.name}.mp4"
        transcode(media / "clips" / "pan_astronaut.mp4", target, filters=filters)
        screening = client.screen(target)
        assert screening.verdict is Verdict.BLOCK
        # The view says what has to be done to the upload to make it the entry.
        assert screening.evidence[0].turn is turn
    client.archive_bank(bank.name)
