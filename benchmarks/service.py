"""How fast a running server answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from grpc import aio

from benchmarks.harness import Row, row
from benchmarks.media import clip_720p, short_clip
from hashmatch.client import Client
from hashmatch.model.verdicts import Action, Verdict
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.v1 import screening_service_pb2_grpc as pb_grpc

__all__ = ["rows", "serving"]

_UPLOAD_SECONDS: Final = 2.0
_PIECES: Final = 40
_ROUNDS: Final = 5

# What an uploader on a slow line may wait for once the last byte is sent.
_BOUND_SECONDS: Final = 0.1


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A server in a process of its own, on an empty folder; gives its address."""
    with tempfile.TemporaryDirectory(prefix="hashmatch-bench-") as folder:
        command = [sys.executable, "-m", "hashmatch", "serve", "--json", "--listen", "127.0.0.1:0"]
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                [*command, "--data", folder],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "HASHMATCH_LOG_LEVEL": "WARNING"},
            )
            try:
                assert process.stdout is not None
                yield json.loads(process.stdout.readline())["listening"]
            finally:
                process.terminate()
                process.wait()


def rows() -> Iterator[Row]:
    """``slow_upload_*``: from the last byte to the verdict, where the uploader is the slow one."""
    with serving() as address:
        with Client(address) as client:
            client.create_bank("bench", action=Action.BLOCK)
            client.add_entry("bench", _noise())
            for suffix in (".mp4", ".webm"):
                client.screen(short_clip(suffix))  # So that nothing is met for the first time.
        for suffix in (".mp4", ".webm"):
            data = short_clip(suffix).read_bytes()
            values = [asyncio.run(_slow_upload(address, data)) for _ in range(_ROUNDS)]
            yield row(
                f"slow_upload_{suffix[1:]}",
                f"last byte to verdict, {_UPLOAD_SECONDS:g} s upload",
                "0.1 s",
                values,
                [_BOUND_SECONDS] * _ROUNDS,
            )


def _noise() -> Path:
    """An entry that the measured clips do not match."""
    from fixtures.clips import CLIPS

    target = clip_720p("each_second").with_name("other.mp4")
    if not target.exists():
        CLIPS["pan_coffee.mp4"](target)
    return target


async def _slow_upload(address: str, data: bytes) -> float:
    """Seconds from the last byte's sending to the verdict."""
    size = -(-len(data) // _PIECES)
    last_sent = 0.0

    async def messages() -> AsyncIterator[pb.ScreenUploadRequest]:
        nonlocal last_sent
        header = pb.ScreenUploadHeader(request_id=str(uuid.uuid4()), size_bytes=len(data))
        yield pb.ScreenUploadRequest(header=header)
        began = time.monotonic()
        for number in range(_PIECES):
            due = began + number * _UPLOAD_SECONDS / (_PIECES - 1)
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
