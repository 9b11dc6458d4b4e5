"""An open-loop load: uploads arrive when they arrive, whether or not others were answered.

A closed loop (send, wait, send) slows down with the server and so never shows a queue. Here every
arrival is counted in, every answer is checked and counted out, and what is missing is lost.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.plain import PlainClient
from hashmatch.client import AsyncClient
from hashmatch.errors import HashmatchError
from hashmatch.model.verdicts import Verdict

__all__ = ["Answer", "Load", "Sample", "closed_loop", "flood", "open_loop"]


# The second is what a caller may see of the first while he still sends.
_TOO_MANY = ("OVERLOADED", "UNREACHABLE")


@dataclass(frozen=True, slots=True)
class Sample:
    """A media to send, and the verdict that it must get."""

    name: str
    data: bytes
    expected: Verdict


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one upload; times in s from the start of the load."""

    sample: str
    arrived: float
    last_byte: float
    answered: float
    right: bool

    @property
    def latency(self) -> float:
        """From the last byte to the verdict."""
        return self.answered - self.last_byte


@dataclass(slots=True)
class Load:
    """All that came of a load."""

    sent: int = 0
    answers: list[Answer] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # Reasons of errors.

    @property
    def lost(self) -> int:
        """Uploads that were neither answered nor refused."""
        return self.sent - len(self.answers) - len(self.refusals)

    @property
    def wrong(self) -> int:
        """Answers with another verdict than they must have."""
        return sum(not answer.right for answer in self.answers)

    def late(self, seconds: float) -> int:
        """Answers that took longer than so many seconds from the last byte."""
        return sum(answer.latency > seconds for answer in self.answers)

    @property
    def broken(self) -> str:
        """Likewise, where uploads may be refused because they are too many."""
        refused = sum(reason not in _TOO_MANY for reason in self.refusals)
        counts = (self.lost, "lost"), (self.wrong, "wrong"), (refused, "refused for another reason")
        return ", ".join(f"{count} {what}" for count, what in counts if count)

    @property
    def fault(self) -> str:
        """What makes every figure of this load void; empty if nothing does."""
        parts = [
            f"{count} {what}"
            for count, what in (
                (self.lost, "lost"),
                (self.wrong, "wrong"),
                (len(self.refusals), "refused"),
            )
            if count
        ]
        return ", ".join(parts)

    def percentiles(self, *wanted: float) -> list[float]:
        """Percentiles (0 to 100) of the latency, in s."""
        latencies = [answer.latency for answer in self.answers]
        return [float(value) for value in np.percentile(latencies, wanted)]


async def open_loop(
    client: AsyncClient, samples: Sequence[Sample], rate: float, seconds: float, seed: int = 0
) -> Load:
    """Sends ``rate`` uploads a second for ``seconds``, by chance (Poisson), and waits for all.
    ``client`` must let as many begin at once: else a server that stalls is sent less.
    """
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, round(rate * seconds)))
    chosen = rng.integers(0, len(samples), len(arrivals))
    load = Load()
    began = time.monotonic()

    async def arrive(at: float, sample: Sample) -> None:
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        await _upload(client, sample, _new(sample.data), load, began)

    await asyncio.gather(
        *(arrive(at, samples[which]) for at, which in zip(arrivals, chosen, strict=True))
    )
    return load


async def closed_loop(
    client: AsyncClient, samples: Sequence[Sample], concurrency: int, seconds: float
) -> tuple[Load, float]:
    """Keeps ``concurrency`` uploads under way for ``seconds``; (load, answers a second).

    Samples come in turn, whoever sends the next: a quick one does not come more often.
    """
    load = Load()
    turns = itertools.cycle(samples)
    began = time.monotonic()

    async def repeat() -> None:
        while time.monotonic() - began < seconds:
            sample = next(turns)
            await _upload(client, sample, _new(sample.data), load, began)

    await asyncio.gather(*(repeat() for _ in range(concurrency)))
    return load, len(load.answers) / (time.monotonic() - began)


async def flood(client: AsyncClient | PlainClient, samples: Sequence[Sample], count: int) -> Load:
    """Sends ``count`` uploads at the same moment."""
    load = Load()
    turns = itertools.islice(itertools.cycle(samples), count)
    ready = [(sample, _new(sample.data)) for sample in turns]
    began = time.monotonic()
    await asyncio.gather(*(_upload(client, *each, load, began) for each in ready))
    return load


def _new(data: bytes) -> bytes:
    """The same media in bytes that nobody has sent before: a server that has screened the same
    bytes does not decode them again.
    """
    chance = secrets.token_bytes(16)
    if data[4:8] == b"ftyp":
        return data + struct.pack(">I4s", 8 + len(chance), b"free") + chance
    if data.startswith(b"\x1aE\xdf\xa3"):  # Matroska and WebM: a Void element.
        return data + bytes([0xEC, 0x80 | len(chance)]) + chance
    return data + chance  # Images end where they say.


async def _upload(
    client: AsyncClient | PlainClient, sample: Sample, data: bytes, load: Load, began: float
) -> None:
    arrived = time.monotonic() - began
    last_byte = arrived
    load.sent += 1

    def progress(_: int, __: int) -> None:
        nonlocal last_byte
        last_byte = time.monotonic() - began

    try:
        # Not tried again: what the server does not answer is to be seen.
        screening = await client.screen(data, timeout_seconds=0, progress=progress)
    except HashmatchError as error:
        load.refusals.append(error.reason)
        return
    load.answers.append(
        Answer(
            sample.name,
            arrived,
            last_byte,
            time.monotonic() - began,
            screening.verdict is sample.expected,
        )
    )
