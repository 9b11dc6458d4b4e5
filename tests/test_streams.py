"""What a process does that cannot write: a log that is lost fails nothing, an answer that is lost
fails the command.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashmatch.client import Client
from hashmatch.errors import HashmatchError
from hashmatch.model.verdicts import Action, Verdict
from hashmatch.store.audit import Audit
from hashmatch.store.database import Database
from tests.conftest import RunningServer
from tests.support import TORTURE, image

# The command line as a user has it, with what Python does by default at its end.
PYTHON = sys.executable
HASHMATCH = f"{PYTHON} -m hashmatch"
SERVE = f"{HASHMATCH} serve --data {{data}} --listen 127.0.0.1:{{port}} --workers 1"

BUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])

# What a process leaves in stderr's buffer, and what it prints while it ends.
NOISY = """
import atexit, sys, warnings
from hashmatch import streams

def command():
    print("an answer")
    print("a part of a line", end="", file=sys.stderr)
    warnings.warn("a warning")
    atexit.register(lambda: print("the end", file=sys.stderr))
    raise SystemExit(int(sys.argv[1]))

streams.run(command)
"""


def shell(command: str, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    """What a shell gets of a command, whose redirections may close streams too."""
    return subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )


@BUFFERED
@pytest.mark.parametrize("lost", ["2>/dev/full", "2>&-", "2>&- <&-", "2>/dev/full >/dev/null"])
@pytest.mark.parametrize("code", [0, 1, 12])
def test_a_lost_log_changes_no_exit_code(lost: str, code: int, unbuffered: str) -> None:
    """A script would take a verdict for a failure because the disk of its log is full."""
    done = shell(f"{PYTHON} -c '{NOISY}' {code} {lost}", unbuffered)
    assert done.returncode == code
    assert done.stdout == ("" if "/dev/null" in lost else "an answer\n")


@BUFFERED
@pytest.mark.parametrize("lost", [">/dev/full", ">&-", ">&- <&-"])
def test_a_lost_answer_fails_the_command_and_says_so(lost: str, unbuffered: str) -> None:
    """A list of the blocklist would be kept that ends where the disk was full."""
    done = shell(f"{PYTHON} -c '{NOISY}' 0 {lost}", unbuffered)
    assert done.returncode == 1
    assert "the output cannot be written: " in done.stderr
    assert "Traceback" not in done.stderr


@BUFFERED
def test_a_lost_answer_hides_no_verdict(unbuffered: str) -> None:
    """An upload that is to be blocked would look like one that could not be screened."""
    assert shell(f"{PYTHON} -c '{NOISY}' 12 >/dev/full 2>&1", unbuffered).returncode == 12


@pytest.fixture(scope="module")
def bank(server: RunningServer, client: Client) -> Iterator[str]:
    """Address of a server with a bank to list."""
    made = client.create_bank("streams", action=Action.REVIEW)
    assert "streams" in shell(f"HASHMATCH_SERVER={server.address} {HASHMATCH} bank list").stdout
    yield server.address
    client.archive_bank(made.name)


@pytest.mark.parametrize(
    ("command", "lost", "unbuffered"),
    [
        ("--help", ">/dev/full", ""),
        ("--help", ">&-", "1"),
        ("bank list --json", ">/dev/full 2>&1", ""),
        ("bank list --json", ">&-", ""),
        ("bank list", ">&- 2>&-", ""),
        ("bank list", ">/dev/full", "1"),
        # A command that decodes in its own process, and so closes and opens streams.
        ("hash --json {file}", ">/dev/full 2>&1", ""),
    ],
)
def test_every_form_of_output_fails_that_is_lost(
    command: str, lost: str, unbuffered: str, bank: str, tmp_path: Path
) -> None:
    """Half of an answer would count as all of it: text, tables, JSON."""
    file = tmp_path / "image.png"
    file.write_bytes(image(1))
    asked = f"HASHMATCH_SERVER={bank} {HASHMATCH} {command.format(file=file)}"
    assert shell(f"{asked} {lost}", unbuffered).returncode == 1


def test_a_reader_that_has_enough_is_no_fault_to_tell(bank: str) -> None:
    """Every `| head` would end with an error message."""
    # The reader is gone before anything is written.
    command = f"HASHMATCH_SERVER={bank} {HASHMATCH} bank list --json"
    done = shell(f"{command} | true; echo ${{PIPESTATUS[0]}}")
    assert done.stderr == ""
    assert done.stdout in ("1\n", "0\n")  # 0 where all was written before.


def test_a_closed_stream_is_no_place_for_the_next_file(tmp_path: Path) -> None:
    """A library's message would be written into the database."""
    code = (
        "import os\nfrom hashmatch import streams\n"
        f"streams.run(lambda: os._exit(os.open({str(tmp_path / 'file')!r}, os.O_CREAT)))"
    )
    assert shell(f'{PYTHON} -c "{code}" <&- >&- 2>&-').returncode > 2


def test_a_line_after_a_full_disk_stands_alone(tmp_path: Path) -> None:
    """The first line that a collector reads after the disk was full would be broken."""
    log = tmp_path / "log"
    code = """
import resource, signal, sys
from hashmatch import streams
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
stream = streams.unfailing(sys.stderr)
stream.write("first\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
stream.write("second\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
stream.write("third\\n")
stream.write("fourth\\n")
"""
    with log.open("w") as written:
        subprocess.run([PYTHON, "-c", code], stderr=written, check=True)
    assert log.read_text() == "first\nseco\nthird\nfourth\n"


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@contextlib.contextmanager
def served(data: Path, lost: str, unbuffered: str = "", no_auth: str = "true") -> Iterator[Client]:
    """A server of its own whose streams are redirected; a client of it. Its status must be 0."""
    port = free_port()
    process = subprocess.Popen(
        ["bash", "-c", f"exec {SERVE.format(data=data, port=port)} {lost}"],
        env={
            **os.environ,
            "PYTHONUNBUFFERED": unbuffered,
            "HASHMATCH_UNSAFE_NO_AUTH": no_auth,
            "HASHMATCH_LOG_LEVEL": "DEBUG",
        },
    )
    try:
        with Client(f"127.0.0.1:{port}", timeout_seconds=60) as client:
            while not client.is_ready():
                assert process.poll() is None
                time.sleep(0.1)
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


# Each is a server of its own. What streams do of the others, `NOISY` shows for all commands.
LOST = [(">/dev/full 2>&1", ""), (">&- 2>&- <&-", "")]
LOST += [(">/dev/null 2>/dev/full", ""), (">/dev/full 2>&1", "1")] if TORTURE else []


@pytest.mark.parametrize(("lost", "unbuffered"), LOST)
def test_a_server_without_a_log_serves_and_ends_well(
    lost: str, unbuffered: str, tmp_path: Path
) -> None:
    """A full disk of logs would keep uploads out, or have a supervisor report a crash."""
    with served(tmp_path, lost, unbuffered) as client:
        client.create_bank("a-bank", action=Action.BLOCK)
        client.add_entry("a-bank", image(1))
        assert client.screen(image(1)).verdict is Verdict.BLOCK
        assert client.screen(image(2)).verdict is Verdict.NO_MATCH
        with pytest.raises(HashmatchError):
            client.get_bank("no-such-bank")
    with contextlib.closing(Database(f"sqlite:///{tmp_path / 'hashmatch.db'}")) as database:
        assert not Audit(database).verify().findings  # Nothing was written into it.


def test_a_token_that_cannot_be_told_ends_the_server(tmp_path: Path) -> None:
    """A server would run that nobody can be admitted to, and nobody would know why."""
    command = SERVE.format(data=tmp_path, port=free_port())
    done = shell(f"{command} >/dev/full")
    assert done.returncode == 1
    assert "hashmatch caller recover" in done.stderr
    assert "the output cannot be written" in done.stderr
    again = shell(f"{HASHMATCH} caller recover admin-2 --json --data {tmp_path}")
    assert json.loads(again.stdout)["token"]
