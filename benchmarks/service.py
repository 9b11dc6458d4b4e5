"""How a running server answers: how much, how soon, and how soon it knows of a new entry."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from grpc import aio

from benchmarks.digests import Bytes, digests, signals_of
from benchmarks.harness import Row, row
from benchmarks.load import Sample
from benchmarks.load_rows import load_rows
from benchmarks.media import fixtures, short_clip
from benchmarks.pipeline import hash_clip
from hashmatch.client import Client
from hashmatch.engine.index.live import usable
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED
from hashmatch.model.verdicts import Action, Kind, Verdict
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.database import Database
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.v1 import screening_service_pb2_grpc as pb_grpc
from hashmatch.wire.signals import signals_to_wire

__all__ = ["rows", "serving"]

# What an uploader on a slow line may wait for once the last byte is sent.
_SLOW_BOUND_SECONDS: Final = 0.1
_SLOW_SECONDS: Final = 2.0
_SLOW_PIECES: Final = 40
_SLOW_ROUNDS: Final = 5
_SLOW_APART_SECONDS: Final = 0.4  # Four times what each may take after its last byte.

_UPDATE_BOUND_SECONDS: Final = 1.0
_UPDATE_ROUNDS: Final = 7
_UPDATE_ENTRIES: Final = 1000
_ENTRY_HASHES: Final = 1000
_FILL_BLOCK: Final = 100


@contextlib.contextmanager
def serving(folder: Path | None = None, **settings: str) -> Iterator[str]:
    """A server in a process of its own, on ``folder`` or an empty one; gives its address.
    ``settings`` are variables without their prefix.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            made = tempfile.TemporaryDirectory(prefix="hashmatch-bench-")
            folder = Path(stack.enter_context(made))
        command = [sys.executable, "-m", "hashmatch", "serve", "--json", "--listen", "127.0.0.1:0"]
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            [*command, "--data", str(folder)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={
                **os.environ,
                "HASHMATCH_LOG_LEVEL": "WARNING",
                "HASHMATCH_UNSAFE_NO_AUTH": "true",
                **{f"HASHMATCH_{name.upper()}": value for name, value in settings.items()},
            },
        )
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if "listening" not in (told := json.loads(said or "{}")):
                raise RuntimeError(f"the server does not start: {said or process.wait()}")
            yield told["listening"]
        finally:
            process.terminate()
            process.wait()


def rows(full: bool) -> Iterator[Row]:
    """``service_*``, ``slow_upload_*`` and ``update_latency``."""
    with serving(max_waiting="1000") as address, serving() as ordinary:
        samples, paths = _samples()
        for each in (address, ordinary):
            with Client(each) as client:
                client.create_bank("bench", action=Action.BLOCK)
                client.add_entry("bench", paths["pan_coffee.mp4"])
                for sample in samples:  # So that nothing is met for the first time.
                    client.screen(sample.data)
        yield from asyncio.run(
            load_rows(
                address,
                samples,
                lambda: statistics.fmean(hash_clip(path) for path in paths.values()),
                rounds=10 if full else 5,
                seconds=10.0 if full else 2.5,
                ordinary=ordinary,
            )
        )
        for suffix in (".mp4", ".webm"):
            data = short_clip(suffix).read_bytes()
            values = asyncio.run(_slow_uploads(address, data))
            yield row(
                f"slow_upload_{suffix[1:]}",
                f"last byte to verdict, an upload of {_SLOW_SECONDS:g} s",
                "0.1 s",
                values,
                [_SLOW_BOUND_SECONDS] * _SLOW_ROUNDS,
            )
    yield _update_latency()


def _samples() -> tuple[list[Sample], dict[str, Path]]:
    """Clips as a platform gets them, mixed; one of them is on the blocklist."""
    folder = fixtures() / "clips"
    names = (
        "pan_astronaut.mp4 pan_coffee.mp4 pan_rocket.webm matroska.mkv with_sound.mp4 "
        "moov_at_end.mp4 hevc.mp4 one_key_frame.mp4"
    )
    paths = {name: folder / name for name in names.split()}
    samples = [
        Sample(
            name,
            path.read_bytes(),
            Verdict.BLOCK if name == "pan_coffee.mp4" else Verdict.NO_MATCH,
        )
        for name, path in paths.items()
    ]
    return samples, paths


async def _slow_uploads(address: str, data: bytes) -> list[float]:
    """`_slow_upload` for each round. They overlap, as each does nearly nothing for most of its
    time, and end one after the other.
    """

    async def later(number: int) -> float:
        await asyncio.sleep(number * _SLOW_APART_SECONDS)
        return await _slow_upload(address, data)

    return list(await asyncio.gather(*map(later, range(_SLOW_ROUNDS))))


async def _slow_upload(address: str, data: bytes) -> float:
    """Seconds from the last byte's sending to the verdict, where the uploader is the slow one."""
    size = -(-len(data) // _SLOW_PIECES)
    last_sent = 0.0

    async def messages() -> AsyncIterator[pb.ScreenUploadRequest]:
        nonlocal last_sent
        header = pb.ScreenUploadHeader(request_id=str(uuid.uuid4()), size_bytes=len(data))
        yield pb.ScreenUploadRequest(header=header)
        began = time.monotonic()
        for number in range(_SLOW_PIECES):
            due = began + number * _SLOW_SECONDS / (_SLOW_PIECES - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            last_sent = time.monotonic()
            yield pb.ScreenUploadRequest(chunk=data[number * size : (number + 1) * size])

    async with aio.insecure_channel(address) as channel:
        stub: Any = pb_grpc.ScreeningServiceStub(channel)
        response = await stub.ScreenUpload(messages(), timeout=60)
    verdict = Verdict(response.screening.verdict)
    if verdict is not Verdict.NO_MATCH:
        raise RuntimeError(f"a clean clip was {verdict.name}: {response.screening.reasons}")
    return time.monotonic() - last_sent


def _update_latency() -> Row:
    """From an entry's adding to the first screening that blocks it, at a million hashes."""
    with tempfile.TemporaryDirectory(prefix="hashmatch-bench-") as name:
        _fill(Path(name))
        with serving(Path(name)) as address, Client(address) as client:
            rng = np.random.default_rng(1)
            values = [_update_once(client, rng) for _ in range(_UPDATE_ROUNDS)]
    return row(
        "update_latency",
        "entry added to first BLOCK, 1M hashes",
        "1 s",
        values,
        [_UPDATE_BOUND_SECONDS] * len(values),
    )


def _fill(folder: Path) -> None:
    database = Database(f"sqlite:///{folder / 'hashmatch.db'}")
    with contextlib.closing(database):
        database.migrate()
        store = BlocklistStore(database)
        store.create_bank(Call(UNRESTRICTED, "bank", ""), "bench", "", Action.BLOCK, {Kind.PDQ: 31})
        made = digests(_UPDATE_ENTRIES * _ENTRY_HASHES)
        firsts = range(0, _UPDATE_ENTRIES, _FILL_BLOCK)
        blocks = (_block(made, first) for first in firsts)
        store.create_entries(Call(UNRESTRICTED, "entries", ""), "bench", blocks, usable)


def _block(made: Bytes, first: int) -> NewEntries:
    numbers = [f"{number}" for number in range(first, first + _FILL_BLOCK)]
    some = signals_of(made[first * _ENTRY_HASHES : (first + _FILL_BLOCK) * _ENTRY_HASHES])
    begins = np.arange(_FILL_BLOCK + 1) * _ENTRY_HASHES
    return NewEntries(numbers, [""] * _FILL_BLOCK, [(some, begins)])


def _update_once(client: Client, rng: np.random.Generator) -> float:
    message = signals_to_wire(signals_of(rng.integers(0, 256, (1, 32), np.uint8)))
    began = time.monotonic()
    client.add_entry_from_signals("bench", [message])
    while client.screen_signals([message], duration_ms=0).verdict is not Verdict.BLOCK:
        pass
    return time.monotonic() - began
