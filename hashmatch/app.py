"""The composition root: builds the server out of its parts, and takes it apart again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from hashmatch.access.oidc import Issuer, IssuerSettings
from hashmatch.config import Settings
from hashmatch.decoding import sandbox
from hashmatch.decoding.admission import Admission, AdmissionLimits
from hashmatch.decoding.intake import Intake, IntakeLimits
from hashmatch.decoding.sandbox import Sandbox, WorkerLimits
from hashmatch.decoding.spool import SpoolBudget
from hashmatch.engine.index import bands
from hashmatch.engine.sampling import densities
from hashmatch.errors import ConfigInvalid, StoreUnavailable
from hashmatch.model.records import DecodeLimits
from hashmatch.server.grpc.server import Server, Tls
from hashmatch.store.changes import History
from hashmatch.store.database import Database
from hashmatch.store.screenings import ScreeningStore
from hashmatch.telemetry import logs, metrics
from hashmatch.telemetry.background import meanwhile
from hashmatch.usecases import repeating
from hashmatch.usecases.assembly import assemble
from hashmatch.usecases.blocklist import Blocklist
from hashmatch.usecases.repeating import Repeat
from hashmatch.usecases.replica import Replica

__all__ = ["Running", "repeat", "run", "running"]

_TELL_SECONDS: Final = 1.0
_WAITING_A_WORKER: Final = 4
_COMPACT_SECONDS: Final = 3600.0
_EXPIRE_SECONDS: Final = 1.0

_log = logs.get_logger(__name__)


class Running(NamedTuple):
    """Where a server listens; and the first admin's token, if it is the first time."""

    address: str
    first_token: str


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A server that is ready for uploads; stops it at the end."""
    spool_folder = settings.data / "spool"
    try:
        spool_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigInvalid(
            f"data: the folder cannot be made ({error.strerror})", setting="data"
        ) from error
    database = Database(settings.database_url)
    workers = _workers(settings, settings.workers)
    if settings.unsafe_no_sandbox:
        _log.warning("workers_not_confined")
    if settings.unsafe_no_auth:
        _log.warning("callers_not_asked")
    budget = SpoolBudget(settings.spool_memory_bytes, settings.spool_disk_bytes, spool_folder)
    with contextlib.closing(database), metrics.serving(settings.metrics) as told_at:
        if told_at:
            _log.info("metrics_served", address=told_at)
        await asyncio.to_thread(database.migrate)
        waiting = settings.max_waiting or _WAITING_A_WORKER * settings.workers
        admission = Admission(AdmissionLimits(settings.max_uploads, waiting, settings.workers))
        use_cases = assemble(
            database,
            Intake(workers, budget, _intake_limits(settings), admission),
            index_file=settings.data / "blocklist.index",
            max_staleness_seconds=settings.max_staleness_seconds,
            issuer=_issuer(settings),
            open_to_all=settings.unsafe_no_auth,
        )
        replica, server = use_cases.replica, Server(use_cases)
        credentials = _tls(settings)
        _observe(settings, workers, admission, replica)
        async with sandbox.running(workers):
            await asyncio.to_thread(bands.warm_up)
            await replica.load()
            # What is there by now stays: to look through it again for garbage is time lost.
            gc.collect()
            gc.freeze()
            await use_cases.authorizer.start()
            first_token = await use_cases.callers.create_first()
            address = await server.start(settings.listen, credentials)
            async with (
                replica.following(),
                meanwhile(_tell(server, replica)),
                meanwhile(_expire(use_cases.blocklist)),
                meanwhile(_compact(use_cases.history, settings.keep_changes_days)),
            ):
                try:
                    await server.serve(ready=True)
                    _log.info("serving", address=address, workers=settings.workers)
                    yield Running(address, first_token)
                finally:
                    await server.stop(settings.shutdown_seconds)
                    _log.info("stopped")


async def repeat(settings: Settings, screening_id: str, path: Path) -> Repeat:
    """Looks at a file as a stored screening did, in a worker of its own and within the server's
    limits; may run beside servers.

    Raises `ConfigInvalid` if there is no store, `ScreeningNotFound`, and what `repeating.repeat`
    does.
    """
    with (
        contextlib.closing(Database(settings.database_url)) as database,
        tempfile.TemporaryDirectory(prefix="hashmatch-") as folder,
    ):
        store = ScreeningStore(database)
        store.check()
        stored = store.get_stored(screening_id)
        if problem := await repeating.problem(stored, path):
            return Repeat(problem)
        budget = SpoolBudget(settings.spool_memory_bytes, settings.spool_disk_bytes, Path(folder))
        async with sandbox.running(_workers(settings, 1)) as worker:
            admission = Admission(AdmissionLimits(1, 1, 1))
            intake = Intake(worker, budget, _intake_limits(settings), admission)
            return await repeating.repeat(stored, intake, path)


def _workers(settings: Settings, count: int) -> Sandbox:
    limits = WorkerLimits(
        wall_seconds=settings.decode_seconds,
        cpu_seconds=settings.decode_cpu_seconds,
        memory_bytes=settings.decode_memory_bytes,
    )
    return Sandbox(count, limits, _worker_environment(), confined=not settings.unsafe_no_sandbox)


def _intake_limits(settings: Settings) -> IntakeLimits:
    return IntakeLimits(
        max_upload_bytes=settings.max_upload_bytes,
        decode=DecodeLimits(
            max_duration_ms=settings.max_duration_seconds * 1000,
            max_frame_pixels=settings.max_frame_pixels,
            max_frames=settings.max_frames,
            max_streams=settings.max_streams,
        ),
        upload=replace(densities.UPLOAD, found_ms=round(settings.found_seconds * 1000)),
        idle_seconds=settings.upload_idle_seconds,
        receive_seconds=settings.upload_seconds,
    )


def _observe(settings: Settings, workers: Sandbox, admission: Admission, replica: Replica) -> None:
    metrics.observe(
        {
            "hashmatch_workers": ("Processes that decode.", lambda: workers.ready_workers),
            "hashmatch_workers_confined": (
                "1 if workers can do nothing but decode; 0 with --unsafe-no-sandbox.",
                lambda: not settings.unsafe_no_sandbox,
            ),
            "hashmatch_uploads": ("Uploads under way.", lambda: admission.uploads),
            "hashmatch_uploads_waiting": (
                "Of them, those that wait for a worker.",
                lambda: admission.waiting,
            ),
            "hashmatch_blocklist_fresh": (
                "0 if the store was not heard of for so long that nothing is NO_MATCH.",
                lambda: replica.is_fresh,
            ),
            "hashmatch_entries_quarantined": (
                "Entries that block far more than others, and wait for a person.",
                lambda: len(replica.snapshot.quarantined),
            ),
            "hashmatch_blocklist_revision": (
                "Revision of the blocklist that is searched.",
                lambda: replica.snapshot.revision,
            ),
        }
    )


async def _tell(server: Server, replica: Replica) -> None:
    """Load balancers are told when the blocklist is stale, and when it is fresh again."""
    while True:
        await asyncio.sleep(_TELL_SECONDS)
        await server.serve(ready=replica.is_fresh)


async def _expire(blocklist: Blocklist) -> None:
    """Entries go out of use when their time is over."""
    while True:
        try:
            if expired := await blocklist.expire_entries():
                _log.info("entries_expired", entries=expired)
        except StoreUnavailable as error:
            _log.warning("entries_not_expired", error=str(error))
        await asyncio.sleep(_EXPIRE_SECONDS)


async def _compact(history: History, days: int) -> None:
    """Changes that are no longer to be kept are deleted; not at all for 0 days."""
    while days:
        try:
            before_ms = round((time.time() - days * 86_400) * 1000)
            if deleted := await asyncio.to_thread(history.compact, before_ms):
                _log.info("changes_compacted", deleted=deleted)
        except StoreUnavailable as error:
            _log.warning("changes_not_compacted", error=str(error))
        await asyncio.sleep(_COMPACT_SECONDS)


async def run(settings: Settings, on_ready: Callable[[Running], None]) -> None:
    """Serves until SIGTERM or SIGINT; ``on_ready`` is told when it does."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as started:
        on_ready(started)
        await stop.wait()


def _issuer(settings: Settings) -> Issuer | None:
    if not settings.oidc_issuer:
        return None
    return Issuer(
        IssuerSettings(
            settings.oidc_issuer,
            settings.oidc_audience,
            settings.oidc_keys,
            settings.oidc_roles_claim,
            settings.oidc_banks_claim,
        )
    )


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    # Told here: to gRPC it looks like an address that is taken.
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.tls_certificate, settings.tls_key, password=""
        )
    except ssl.SSLError as error:
        raise ConfigInvalid(
            f"tls_certificate: cannot be used with tls_key ({error.reason or 'not PEM'}); both "
            "must be PEM, the key without a passphrase and of this certificate",
            setting="tls_certificate",
        ) from error
    except OSError:
        pass  # The one that cannot be read is named below.
    return Tls(
        certificate=_file("tls_certificate", settings.tls_certificate),
        key=_file("tls_key", settings.tls_key),
        client_ca=(
            None
            if settings.tls_client_ca is None
            else _file("tls_client_ca", settings.tls_client_ca)
        ),
    )


def _file(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(
            f"{setting}: the file cannot be read ({error.strerror})", setting=setting
        ) from error


def _worker_environment() -> dict[str, str]:
    """All that a worker gets to see of the environment: where compiled kernels are kept."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    return {"NUMBA_CACHE_DIR": folder} if folder else {}
