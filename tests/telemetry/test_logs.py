"""What is logged, and above all what is not."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashmatch.client import Client
from hashmatch.errors import HashmatchError
from hashmatch.model.verdicts import Action, Kind, Verdict
from hashmatch.wire.signals import signals_to_wire
from tests.conftest import RunningServer, serving
from tests.support import clip, image, signals

FILE_NAME = "quokka-in-the-kitchen"
REFERENCE = "case-wombat-4711"
LABEL = "marsupials-of-interest"
TOKEN = "bearer-token-numbat"

CODE = """
import sys
from hashmatch.telemetry import logs

logs.configure(sys.argv[1])
log = logs.get_logger("a.module")

def fails(digest):
    return 1 // 0

log.debug("quiet")
log.info("loud", count=3)
try:
    fails("5ec2e7")
except ZeroDivisionError:
    log.exception("failed")
"""


def lines(text: str) -> list[dict[str, Any]]:
    """A log, line by line."""
    return [json.loads(line) for line in text.splitlines()]


def logged(level: str) -> list[dict[str, Any]]:
    """What a process logs at a level."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, level], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""  # Which is for answers.
    return lines(done.stderr)


def test_a_log_that_cannot_be_written_fails_nothing() -> None:
    """On a full disk every refusal would be a fault of the server."""
    with Path("/dev/full").open("w") as full:
        subprocess.run([sys.executable, "-c", CODE, "INFO"], stderr=full, check=True)


def test_a_line_is_one_object() -> None:
    """A collector of logs could not read them."""
    loud, failed = logged("INFO")
    assert loud["event"] == "loud"
    assert loud["count"] == 3
    assert (loud["module"], loud["level"]) == ("a.module", "info")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", loud["timestamp"])
    assert failed["level"] == "error"


def test_the_level_is_the_least_that_is_logged() -> None:
    """A debug level left on would fill the disk, or a warning would be missed."""
    assert [line["event"] for line in logged("DEBUG")] == ["quiet", "loud", "failed"]
    assert [line["event"] for line in logged("WARNING")] == ["failed"]


def test_a_fault_says_where_and_not_with_what() -> None:
    """A hash that a function held when it failed would be in the log."""
    failed = logged("ERROR")[0]
    assert "ZeroDivisionError" in json.dumps(failed)
    assert "fails" in json.dumps(failed)
    assert "5ec2e7" not in json.dumps(failed["exception"])


@dataclass(frozen=True)
class Served:
    """A server that met all that may go wrong, its log, and what must not be in it."""

    log: str
    secrets: dict[str, list[str]]
    screening_id: str


def spellings(digest: bytes) -> list[str]:
    """How a digest may be written."""
    plain = base64.b64encode(digest).decode()
    return [
        digest.hex(),
        digest.hex().upper(),
        plain.rstrip("="),
        base64.urlsafe_b64encode(digest).decode().rstrip("="),
        str(list(digest))[1:-1],
        repr(digest)[2:-1],
    ]


def stored_digests(data: Path) -> Iterable[bytes]:
    """Every hash that the server has stored."""
    with contextlib.closing(sqlite3.connect(data / "hashmatch.db")) as database:
        for table in ("entry_signals", "screening_signals"):
            for kind, column in database.execute(f"SELECT kind, digests FROM {table}"):
                width = Kind(kind).width
                yield from (column[at : at + width] for at in range(0, len(column), width))


class Stalled(io.RawIOBase):
    """A file of which half comes, and then nothing for a while."""

    def __init__(self, data: bytes) -> None:
        self._data = data[: len(data) // 2]

    def read(self, size: int = -1) -> bytes:
        """The half, then nothing."""
        if not self._data:
            time.sleep(4)
        data, self._data = self._data, b""
        return data


def misuse(server: RunningServer, folder: Path) -> str:
    """Makes the server log all that it can; returns the id of a screening."""
    path = folder / FILE_NAME
    media = clip([81, 82, 83])
    path.write_bytes(media)
    with Client(server.address, timeout_seconds=60) as client:

        def fails(method: Any, *given: Any, **named: Any) -> None:
            with pytest.raises(HashmatchError):
                method(*given, **named)

        client.create_bank("a-bank", action=Action.BLOCK, label=LABEL)
        entry = client.add_entry("a-bank", path, reference=REFERENCE)
        client.add_entry_from_signals(
            "a-bank", [signals_to_wire(signals(9))], reference=f"{REFERENCE}-2"
        )
        blocked = client.screen(path)
        assert blocked.verdict is Verdict.BLOCK
        client.confirm(blocked.screening_id)
        client.screen_signals([signals_to_wire(signals(9))], duration_ms=0)
        client.screen(image(1))
        for broken in (b"", TOKEN.encode() * 99, media[: len(media) // 2], image(1)[:-999]):
            client.screen(broken)
        damaged = bytearray(media)
        damaged[len(media) // 2 : len(media) // 2 + 500] = TOKEN.encode() * 28
        client.screen(bytes(damaged))
        # An uploader who goes away half way.
        fails(client.screen, Stalled(media), timeout_seconds=2.0)
        client.screen(image(1))
        # Refusals that quote what was asked for.
        fails(client.get_bank, REFERENCE)
        fails(client.get_entry, REFERENCE)
        fails(client.confirm, signals(9).digests.tobytes().hex()[:60])
        fails(client.create_bank, f"{FILE_NAME} !", action=Action.BLOCK)
        fails(client.create_bank, "a-bank", action=Action.BLOCK, label=LABEL)
        fails(client.add_entry, "a-bank", b"nothing", reference=f"{REFERENCE}-3")
        fails(client.add_entry, "a-bank", path, reference=f"{REFERENCE}\n")
        fails(client.screen, path, request_id=f"{TOKEN} !")
        client.screen(path, request_id="used")
        fails(client.screen, image(2), request_id="used")
        # Faults: rows as some other version could have left them.
        changes = [
            "UPDATE judgements SET evidence = json_remove(evidence, '$[0].frames')"
            " WHERE evidence != '[]'",
            "UPDATE entries SET kinds = json_array(json_array(reference, 1, 1))",
            "UPDATE banks SET thresholds = json_object(label, 1)",
        ]
        with contextlib.closing(sqlite3.connect(server.data / "hashmatch.db")) as database:
            for change in changes:
                database.execute(change)
            database.commit()
        fails(client.get_screening, blocked.screening_id)
        fails(client.get_entry, entry.ref.entry_id)
        fails(client.get_bank, "a-bank")
        fails(client.add_entry, "a-bank", image(3), reference=REFERENCE)
        fails(client.screen, path)
    return blocked.screening_id


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """One server for all tests."""
    folder = tmp_path_factory.mktemp("telemetry")
    with serving(folder / "data", workers="1", log_level="DEBUG") as server:
        screening_id = misuse(server, folder)
        digests = set(stored_digests(server.data))
    assert len(digests) > 10
    of_files = [clip([81, 82, 83]), image(1), image(2)]
    digests |= {hashlib.sha256(data).digest() for data in of_files}
    digests |= {bytes(row) for row in np.concatenate([signals(9).digests])}
    return Served(
        server.log.read_text(),
        {
            "file name": [FILE_NAME],
            "reference": [REFERENCE],
            "label": [LABEL],
            "what was sent": [TOKEN],
            # A part of a digest gives it away as well.
            "digest": [written[:20] for digest in digests for written in spellings(digest)],
        },
        screening_id,
    )


@pytest.mark.parametrize("what", ["file name", "reference", "label", "what was sent", "digest"])
def test_the_log_holds_no_secret(served: Served, what: str) -> None:
    """Whoever may read the logs would learn what is on the blocklist, or who uploads what."""
    for secret in served.secrets[what]:
        place = served.log.find(secret)
        assert place < 0, served.log[max(0, place - 300) : place + 100]


def test_the_log_is_json_whatever_happens(served: Served) -> None:
    """A decoder that writes where it likes would break the log, or fill it."""
    assert all(line["event"] for line in lines(served.log))
    assert len(served.log) < 500_000


def test_the_log_says_what_happened(served: Served) -> None:
    """Nobody could find out why an upload was blocked, or that the store is damaged."""
    found = lines("\n".join(re.findall(r"^{.*}$", served.log, re.MULTILINE)))
    [screened] = [line for line in found if line.get("screening_id") == served.screening_id]
    assert screened["event"] == "screened"
    assert screened["verdict"] == "BLOCK"
    assert screened["reasons"]
    assert screened["size_bytes"] == len(clip([81, 82, 83]))
    refused = {line["reason"] for line in found if line["event"] == "refused"}
    assert {
        "BANK_NOT_FOUND",
        "ENTRY_NOT_FOUND",
        "SCREENING_NOT_FOUND",
        "INVALID_FIELD",
        "BANK_EXISTS",
        "MEDIA_UNUSABLE",
        "REQUEST_ID_REUSED",
    } <= refused
    assert "INTERNAL" in refused
    faults = [line for line in found if line["event"] == "handler_failed"]
    assert {line["error"] for line in faults} >= {"ValidationError"}
    assert any("process_result_value" in str(line["where"]) for line in faults)
    assert {"serving", "stopped"} <= {line["event"] for line in found}
