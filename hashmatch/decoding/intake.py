"""Receives a media and has it hashed, both at once: bytes in, `Inspected` out."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from hashmatch.decoding.admission import Admission, Ticket
from hashmatch.decoding.channel import Done, Job, new_seed
from hashmatch.decoding.sandbox import Sandbox, Stalled
from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.engine.hashing.exact import ExactHasher
from hashmatch.engine.sampling import densities
from hashmatch.engine.sampling.frames import Density
from hashmatch.errors import MediaError, UploadMismatch, UploadTooSlow
from hashmatch.model.records import Coverage, DecodeLimits, MediaInfo, Reason
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, VerdictReason

__all__ = ["Decided", "Inspected", "Intake", "IntakeLimits", "Known", "Looks", "nothing_known"]


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """What a media may be at most, and how closely an upload is looked at."""

    max_upload_bytes: int
    decode: DecodeLimits
    upload: Density = densities.UPLOAD
    idle_seconds: float = 30.0  # Without a byte.
    receive_seconds: float = 3600.0  # For all of it.


@dataclass(frozen=True, slots=True)
class Looks:
    """How closely a media is looked at, and by which `Job.seed`: made anew for each media."""

    kinds: frozenset[Kind]
    density: Density
    turns: bool  # Also hash every turn and mirror of a frame.
    seed: int = field(default_factory=new_seed, repr=False)


@dataclass(frozen=True, slots=True)
class Inspected:
    """What is known of a media once it was received and hashed."""

    signals: tuple[Signals, ...]
    media: MediaInfo
    coverage: Coverage
    reasons: tuple[Reason, ...]  # Why coverage is not complete.
    again: bool = False  # From what was known of the same bytes; nothing was decoded.
    # That its frames were chosen by, None if none were. A secret, see `Job`.
    seed: int | None = field(default=None, repr=False)
    look_version: str = ""  # What looked at it; empty if nothing did.


# Gets hashes as they come; true if by now nothing that still comes could matter.
Decided = Callable[[list[Signals]], Awaitable[bool]]

# Gets the SHA-256 of a media; what is known of the same bytes already, if it is enough.
Known = Callable[[bytes], Awaitable[Inspected | None]]

# Decoding begins so long after the upload, unless all of it has come by then: whoever sends that
# quickly is told at once whether the same bytes were screened before.
_GRACE_SECONDS: Final = 0.02

_DECIDED_EARLY: Final = Reason(
    VerdictReason.DECIDED_EARLY, "the rest was not looked at: a sure match had decided already"
)


async def nothing_known(sha256: bytes) -> Inspected | None:  # noqa: ARG001
    """Of no media."""
    return None


class Intake:
    """One per server."""

    def __init__(
        self, sandbox: Sandbox, budget: SpoolBudget, limits: IntakeLimits, admission: Admission
    ) -> None:
        """The sandbox is started and closed by its owner."""
        self._sandbox = sandbox
        self._admission = admission
        self._budget = budget
        self._limits = limits

    @property
    def look_version(self) -> str:
        """What looks at an upload that comes now, see `Screening.look_version`."""
        return _with_density(self._sandbox.look_version, self._limits.upload)

    @property
    def upload(self) -> Density:
        """How closely an upload is looked at."""
        return self._limits.upload

    def check_room(self) -> None:
        """Raises `Overloaded` where `admitted` would now."""
        self._admission.check_room()

    def admitted(self) -> contextlib.AbstractContextManager[Ticket]:
        """A place for one media. Raises `Overloaded`: ask before anything else is done for it."""
        return self._admission.admitted()

    async def inspect(
        self,
        ticket: Ticket,
        chunks: AsyncIterator[bytes],
        announced_size: int,
        looks: Looks,
        decided: Decided,
        known: Known = nothing_known,
    ) -> Inspected:
        """Hashes a media while its ``chunks`` arrive. ``ticket`` is its place, see `admitted`.

        ``announced_size`` in bytes, 0 if not known. ``decided`` gets signals as they come; as soon
        as it returns true nothing more is received or decoded. ``known`` is asked when all bytes
        are there; what it knows is the answer. Raises `UploadTooSlow`, `UploadMismatch`,
        `SpoolFull` and whatever ``chunks`` raises.
        """
        if announced_size > self._limits.max_upload_bytes:
            return self._too_large(announced_size)
        upload = _Upload(self._budget, looks, decided, ticket)
        receiving = asyncio.create_task(self._receive(upload, chunks, announced_size))
        decoding = asyncio.create_task(self._decode(upload, looks, receiving))
        try:
            await asyncio.wait({receiving, decoding}, return_when=asyncio.FIRST_COMPLETED)
            if upload.has_decided():
                return upload.decided_early()
            # Whatever became of the decoding, a file of a known hash is found by its last byte.
            await receiving
            if upload.has_decided():
                return upload.decided_early()
            same = None if decoding.done() else await known(upload.hasher.sha256)
            upload.looked_up.set()
            return same or upload.inspected(await decoding)
        except _TooLarge:
            return self._too_large(upload.spool.size)
        finally:
            for task in (receiving, decoding):
                task.cancel()
            await asyncio.gather(receiving, decoding, return_exceptions=True)
            upload.spool.close()

    async def _receive(
        self, upload: _Upload, chunks: AsyncIterator[bytes], announced_size: int
    ) -> None:
        async for chunk in self._in_time(chunks):
            if upload.spool.size + len(chunk) > self._limits.max_upload_bytes:
                raise _TooLarge
            upload.hasher.update(chunk)
            await upload.spool.append(chunk)
        if announced_size not in (0, upload.spool.size):
            raise UploadMismatch(
                f"size_bytes: {announced_size} bytes were announced, {upload.spool.size} came"
            )
        await upload.spool.end()
        await upload.take(upload.hasher.signals(), None)

    async def _in_time(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same, for as long as they come fast enough."""
        until = time.monotonic() + self._limits.receive_seconds
        while True:
            allowed = min(self._limits.idle_seconds, until - time.monotonic())
            try:
                async with asyncio.timeout(allowed):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise UploadTooSlow("the upload comes too slowly, or not at all") from error
            yield chunk

    async def _decode(self, upload: _Upload, looks: Looks, receiving: asyncio.Task[None]) -> Done:
        await asyncio.wait({receiving}, timeout=_GRACE_SECONDS)
        if receiving.done():
            await upload.looked_up.wait()
        job = Job(
            kinds=tuple(sorted(looks.kinds)),
            turns=looks.turns,
            density=looks.density,
            limits=self._limits.decode,
            seed=looks.seed,
        )
        try:
            done = await self._inspect(upload, job)
        except MediaError as error:
            return upload.so_far_without(Reason(error.code, error.detail))
        if done is None:
            return upload.so_far_without(_DECIDED_EARLY)
        return replace(done, look_version=_with_density(done.look_version, looks.density))

    async def _inspect(self, upload: _Upload, job: Job) -> Done | None:
        try:
            return await self._sandbox.inspect(upload.spool, job, upload.take, upload.ticket)
        except Stalled:
            upload.begin_anew()
            await upload.spool.wait_for(sys.maxsize)  # That is, for its end.
            return await self._sandbox.inspect(upload.spool, job, upload.take, upload.ticket)

    def _too_large(self, size: int) -> Inspected:
        detail = f"more than {self._limits.max_upload_bytes} bytes"
        reasons = (Reason(VerdictReason.SIZE_LIMIT, detail),)
        return Inspected((), MediaInfo(size_bytes=size), Coverage(), reasons)


def _with_density(look_version: str, density: Density) -> str:
    """A version of what looks, and how closely it does where an operator has chosen that: what was
    seen less closely is not all that would be seen now.
    """
    if not look_version or density.found_ms == densities.UPLOAD.found_ms:
        return look_version
    return f"{look_version}, found in {density.found_ms} ms"


class _TooLarge(Exception):
    """More bytes than are allowed."""


class _Upload:
    """One media on its way."""

    def __init__(self, budget: SpoolBudget, looks: Looks, decided: Decided, ticket: Ticket) -> None:
        self.ticket = ticket
        self._seed = looks.seed
        self.spool = Spool(budget)
        self.hasher = ExactHasher(looks.kinds)
        self.looked_up = asyncio.Event()  # Whether its bytes are known.
        self._has_decided = False
        self._decided = decided
        self._signals: list[Signals] = []
        self._so_far = Done(MediaInfo(), Coverage(), ())

    async def take(self, signals: list[Signals], so_far: Done | None) -> bool:
        self._so_far = so_far or self._so_far
        self._signals += signals
        if await self._decided(signals):
            self._has_decided = True
        return self._has_decided

    def begin_anew(self) -> None:
        """Forgets what was hashed: the media is decoded again from its beginning."""
        self._signals = []
        self._so_far = Done(MediaInfo(), Coverage(), ())

    def has_decided(self) -> bool:
        return self._has_decided

    def inspected(self, done: Done) -> Inspected:
        whole = self.spool.ended
        media = replace(
            done.media,
            size_bytes=self.spool.size,
            sha256=self.hasher.sha256 if whole else b"",
        )
        signals = Signals.concatenate(self._signals)
        return Inspected(
            signals,
            media,
            done.coverage,
            done.reasons,
            seed=self._seed,
            look_version=done.look_version,
        )

    def so_far_without(self, reason: Reason) -> Done:
        """What was looked at, and why the rest was not."""
        return replace(self._so_far, coverage=self._so_far.coverage.broken_off(), reasons=(reason,))

    def decided_early(self) -> Inspected:
        return self.inspected(self.so_far_without(_DECIDED_EARLY))
