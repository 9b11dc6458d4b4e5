"""The secret that frames are chosen by: nobody is told it, and it repeats a screening."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.descriptor import Descriptor
from typer.testing import CliRunner

from hashmatch import cli
from hashmatch.client import Client
from hashmatch.errors import HashmatchError, RequestIdReused, ScreeningNotFound
from hashmatch.model.callers import Role, new_token
from hashmatch.model.records import Coverage, Screening
from hashmatch.model.verdicts import Action, Verdict
from hashmatch.store.database import Database
from hashmatch.store.tables import metadata, screenings
from hashmatch.v1 import access_service_pb2 as access_pb
from hashmatch.v1 import blocklist_service_pb2 as blocklist_pb
from hashmatch.v1 import common_pb2 as pb
from hashmatch.v1 import errors_pb2 as errors_pb
from hashmatch.v1 import review_service_pb2 as review_pb
from hashmatch.v1 import screening_service_pb2 as screening_pb
from hashmatch.wire.signals import signals_to_wire
from tests.conftest import RunningServer, serving
from tests.databases import SERVED, kept, postgres
from tests.support import clip, image, new_id, signals

CLIP = clip([1, 2, 3, 4])


@dataclass
class Wire:
    """A way to a server that keeps every byte that the server sends."""

    port: int
    sent: bytearray = field(default_factory=bytearray)

    @classmethod
    @contextlib.contextmanager
    def to(cls, address: str) -> Iterator[Wire]:
        """Connections are taken until the end; each has two threads."""
        host, _, port = address.rpartition(":")
        with contextlib.ExitStack() as opened:
            listening = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            wire = cls(listening.getsockname()[1])
            threads: list[threading.Thread] = []

            def begin(*work: Any) -> None:
                threads.append(threading.Thread(target=work[0], args=work[1:], daemon=True))
                threads[-1].start()

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        near = opened.enter_context(listening.accept()[0])
                        far = opened.enter_context(socket.create_connection((host, int(port))))
                        begin(_pass_on, near, far)
                        begin(_pass_on, far, near, wire.sent)

            begin(accept)
            yield wire
            listening.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(timeout=10)


def _pass_on(source: socket.socket, target: socket.socket, kept: bytearray | None = None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if kept is not None:
                kept += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def forms(seed: bytes) -> set[bytes]:
    """How a seed might be written."""
    number = int.from_bytes(seed)
    return {
        seed,
        seed[::-1],
        seed.hex().encode(),
        seed.hex().upper().encode(),
        f"{number:x}".encode(),
        f"{number}".encode(),
        base64.b64encode(seed).rstrip(b"="),
        base64.urlsafe_b64encode(seed).rstrip(b"="),
    }


def run(address: str, token: str, *arguments: str | Path) -> bytes:
    """What a command prints, whatever becomes of it."""
    done = CliRunner().invoke(
        cli.app,
        list(map(str, arguments)),
        env={"HASHMATCH_SERVER": address, "HASHMATCH_TOKEN": token, "COLUMNS": "200"},
    )
    return done.stdout_bytes + done.stderr_bytes


@pytest.fixture(scope="module", params=SERVED)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, str]]:
    """Of each sort of database; and its URL."""
    folder = tmp_path_factory.mktemp("seeds")
    url = postgres().new() if request.param == "postgresql" else ""
    settings = {"database": url} if url else {}
    with serving(
        folder, unsafe_no_auth="false", metrics="127.0.0.1:0", log_level="DEBUG", **settings
    ) as running:
        yield running, url or f"sqlite:///{folder / 'hashmatch.db'}"


def do_all(wire: Wire, admin_token: str, folder: Path) -> tuple[list[Screening], list[bytes]]:
    """All that is told of screenings: to callers of each role, and on the command line."""
    address = f"127.0.0.1:{wire.port}"
    made = []
    pipeline, everything = new_token(), new_token()
    with Client(address, token=admin_token, timeout_seconds=60) as admin:
        admin.create_caller("pipeline", roles=[Role.PIPELINE], token=pipeline)
        admin.create_caller("everything", roles=list(Role), token=everything)
    (folder / "a.mkv").write_bytes(CLIP)
    with Client(address, token=everything, timeout_seconds=60) as client:
        bank = client.create_bank("bank", action=Action.REVIEW).name
        entry = client.add_entry(bank, clip([1, 2, 3, 4], quality=5), reference="listed")
        harmless = clip([41, 42, 43])
        uploads = (CLIP, CLIP, harmless, image(5), harmless[: len(harmless) // 2], b"nothing" * 99)
        made += [client.screen(data) for data in uploads]
        with Client(address, token=pipeline, timeout_seconds=60) as other:
            made += [other.screen(data) for data in (CLIP, image(6))]
            other.confirm(made[-1].screening_id)
            other.get_screening(made[-1].screening_id)
        request_id = new_id()
        made.append(client.screen(image(7), request_id=request_id))
        client.screen(image(7), request_id=request_id)
        with pytest.raises(RequestIdReused):
            client.screen(image(8), request_id=request_id)
        with pytest.raises(ScreeningNotFound):
            client.get_screening("scr_nothing")
        client.screen_signals([signals_to_wire(signals(3))], duration_ms=0)
        for each in made:
            client.confirm(each.screening_id)
            client.get_screening(each.screening_id)
        list(client.list_screenings())
        (held, *_) = client.list_cases()
        client.get_case(held.case_id)
        with contextlib.suppress(HashmatchError):
            client.preview_entry(entry.ref.entry_id)
        client.withdraw_entry(entry.ref.entry_id)
        list(client.list_entries())
        list(client.list_audit_rows())
        list(zip(client.watch_changes(), range(2), strict=False))
    commands: list[list[str | Path]] = [
        ["screen", folder / "a.mkv"],
        ["screen", folder / "a.mkv", "--json"],
        ["screening", "show", made[0].screening_id],
        ["screening", "confirm", made[0].screening_id],
        ["screening", "show", made[0].screening_id, "--json"],
        ["screening", "list", "--json"],
        ["case", "list", "--json"],
        ["audit", "log", "--json"],
        ["changes", "--json"],
        ["doctor", "--json"],
    ]
    return made, [run(address, everything, *command) for command in commands]


def test_a_seed_is_told_nowhere(server: tuple[RunningServer, str], tmp_path: Path) -> None:
    """Whoever learns it knows which frames of a file are looked at, and puts what he hides
    between them.
    """
    running, url = server
    with Wire.to(running.address) as wire:
        made, printed = do_all(wire, running.first_token, tmp_path)
    log = running.log.read_bytes()
    told_at = next(
        json.loads(line)["address"] for line in log.splitlines() if b'"metrics_served"' in line
    )
    with urllib.request.urlopen(f"http://{told_at}/metrics") as response:
        told = {
            "the wire": bytes(wire.sent),
            "the log": log,
            "the metrics": response.read(),
            "commands": b"\n".join(printed),
        }
    database = Database(url)
    with database.read() as connection:
        stored = kept(screenings)
        rows = connection.execute(sa.select(stored.c.screening_id, stored.c.seed)).all()
        seeds = {row.screening_id: row.seed for row in rows if row.seed is not None}
        others = [
            each
            for table in map(kept, metadata.sorted_tables)
            for each in connection.execute(
                sa.select(*(column for column in table.columns if column.name != "seed"))
            )
        ]
    database.close()
    told["other columns"] = b"\n".join(
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for row in others
        for value in row
    )
    # What is looked in is what was told.
    for name in ("the wire", "the log", "commands", "other columns"):
        assert made[0].screening_id.encode() in told[name], name
    assert {each.screening_id for each in made} <= set(seeds)
    assert all(len(seed) == 16 for seed in seeds.values())
    for seed in seeds.values():
        for form in forms(seed):
            for name, text in told.items():
                assert form not in text, name


def test_no_message_has_a_place_for_a_seed() -> None:
    """A field that is filled by mistake would tell it to every caller."""
    modules = (access_pb, blocklist_pb, pb, errors_pb, review_pb, screening_pb)
    messages = [
        each for module in modules for each in module.DESCRIPTOR.message_types_by_name.values()
    ]
    fields = [name for message in messages for name in _fields(message)]
    assert "screening_id" in fields
    assert not [name for name in fields if "seed" in name]


def _fields(message: Descriptor) -> list[str]:
    return [field.name for field in message.fields] + [
        name for inner in message.nested_types for name in _fields(inner)
    ]


def test_a_screening_is_repeated_by_its_seed(
    server: tuple[RunningServer, str], tmp_path: Path
) -> None:
    """Nobody could show afterwards which frames a verdict was given by."""
    running, url = server
    file, other, broken = (tmp_path / name for name in ("a.mkv", "b.mkv", "c.mkv"))
    file.write_bytes(clip([51, 52, 53], fps=8))
    other.write_bytes(clip([51, 52, 54], fps=8))
    broken.write_bytes(file.read_bytes()[: len(file.read_bytes()) * 3 // 4])
    token = new_token()
    with Client(running.address, token=running.first_token, timeout_seconds=60) as admin:
        admin.create_caller(f"pipeline-{new_id()[:8]}", roles=[Role.PIPELINE], token=token)
        admin.create_bank(f"bank-{new_id()[:8]}", action=Action.BLOCK)  # Uses hashes of frames.
    with Client(running.address, token=token, timeout_seconds=60) as client:
        made = client.screen(file)
        again = client.screen(file)
        cut = client.screen(broken)
        claim = client.screen_signals([signals_to_wire(signals(9))], duration_ms=0)
    assert cut.verdict is Verdict.INCONCLUSIVE

    def repeated(screening: str, path: Path, *more: str) -> bytes:
        return run("", "", "screening", "repeat", screening, path, "--database", url, *more)

    told = json.loads(repeated(cut.screening_id, broken, "--json"))
    assert (told["same_frames"], told["same_hashes"]) == (True, True)
    assert told["frames"]["hashed"] > 0
    assert "problem" not in told
    assert b"ok    the same frames, the same hashes" in repeated(made.screening_id, file)
    assert b"not the file that was screened" in repeated(made.screening_id, other)
    told = json.loads(repeated(claim.screening_id, file, "--json"))
    assert "its caller hashed the media" in told["problem"]
    told = json.loads(repeated("scr_nothing", file, "--json"))
    assert told["error"]["reason"] == "SCREENING_NOT_FOUND"
    told = json.loads(repeated(made.screening_id, tmp_path / "nothing", "--json"))
    assert told["error"]["reason"] == "FILE_UNREADABLE"
    # A seed, or a hash, that is not the screening's.
    database = Database(url)
    with database.write() as connection:
        mine = screenings.c.screening_id == made.screening_id
        connection.execute(screenings.update().where(mine).values(seed=None))
        changed = dataclasses.replace(_coverage(connection, again), frames_decoded=1)
        theirs = screenings.c.screening_id == again.screening_id
        connection.execute(screenings.update().where(theirs).values(coverage=changed))
    database.close()
    assert "no seed is stored" in json.loads(repeated(made.screening_id, file, "--json"))["problem"]
    assert b"amiss other frames" in repeated(again.screening_id, file)


def _coverage(connection: sa.Connection, screening: Screening) -> Coverage:
    mine = screenings.c.screening_id == screening.screening_id
    found: Coverage = connection.execute(sa.select(screenings.c.coverage).where(mine)).scalar_one()
    return found


def test_what_a_repetition_needs_is_asked_for(tmp_path: Path) -> None:
    """Somebody with the wrong folder, or a database of before, would get an error of SQL."""
    file = tmp_path / "a.png"
    file.write_bytes(image(1))
    told = run("", "", "screening", "repeat", "scr_1", file, "--data", tmp_path, "--json")
    assert json.loads(told)["error"]["reason"] == "CONFIG_INVALID"
    database = Database(f"sqlite:///{tmp_path / 'hashmatch.db'}")
    database.migrate("0010")
    database.close()
    told = run("", "", "screening", "repeat", "scr_1", file, "--data", tmp_path, "--json")
    assert json.loads(told)["error"]["reason"] == "CONFIG_INVALID"
    assert b"start the server once" in told
