"""The client for code without asyncio: `AsyncClient` in an event loop of its own thread."""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections.abc import AsyncGenerator, Collection, Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from hashmatch.client._async import AsyncClient
from hashmatch.client._media import MediaSource, Progress
from hashmatch.client._paging import Cursor
from hashmatch.model.callers import Caller, KnownCaller, Role
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.model.exports import ExportedEntry
from hashmatch.model.imports import Format, Import
from hashmatch.model.previews import Preview
from hashmatch.model.records import (
    AuditRow,
    Bank,
    BankPolicy,
    BlocklistChange,
    Checkpoint,
    Entry,
    Provenance,
    Screening,
)
from hashmatch.model.verdicts import Action, Activation, BankState, EntryState, Kind, Verdict
from hashmatch.v1 import common_pb2

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """One connection to a server, safe for use by several threads.

    Its methods are those of `AsyncClient`; see there.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        timeout_seconds: float = 120.0,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        max_beginning: int = 16,
    ) -> None:
        """See `AsyncClient`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="hashmatch-client", daemon=True
        )
        self._thread.start()

        async def connect() -> AsyncClient:
            return AsyncClient(
                server,
                timeout_seconds=timeout_seconds,
                credentials=credentials,
                token=token,
                max_beginning=max_beginning,
            )

        self._client = self._run(connect())
        self.server = self._client.server

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection; calls under way fail. Does nothing the second time."""
        if self._loop.is_closed():
            return
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self._client.close()
        # What is left still waits to read from a source whose upload was answered early.
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def is_ready(self) -> bool:
        """See `AsyncClient.is_ready`."""
        return self._run(self._client.is_ready())

    def screen(
        self,
        media: MediaSource,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Screening:
        """See `AsyncClient.screen`."""
        return self._run(
            self._client.screen(
                media, request_id=request_id, timeout_seconds=timeout_seconds, progress=progress
            )
        )

    def screen_signals(
        self,
        signals: Sequence[common_pb2.Signals],
        *,
        duration_ms: int,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Screening:
        """See `AsyncClient.screen_signals`."""
        return self._run(
            self._client.screen_signals(
                signals,
                duration_ms=duration_ms,
                request_id=request_id,
                timeout_seconds=timeout_seconds,
            )
        )

    def confirm(
        self,
        screening_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Screening:
        """See `AsyncClient.confirm`."""
        return self._run(
            self._client.confirm(
                screening_id, request_id=request_id, timeout_seconds=timeout_seconds
            )
        )

    def get_screening(self, screening_id: str) -> Screening:
        """See `AsyncClient.get_screening`."""
        return self._run(self._client.get_screening(screening_id))

    def list_screenings(
        self,
        *,
        verdict: Verdict | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Screening]:
        """See `AsyncClient.list_screenings`."""
        return self._iterate(
            self._client.list_screenings(verdict=verdict, since=since, cursor=cursor)
        )

    def create_bank(
        self,
        name: str,
        *,
        action: Action,
        label: str = "",
        thresholds: Mapping[Kind, int] | None = None,
        activation: Activation = Activation.ONE_PERSON,
        policy: BankPolicy | None = None,
        request_id: str | None = None,
    ) -> Bank:
        """See `AsyncClient.create_bank`."""
        return self._run(
            self._client.create_bank(
                name,
                action=action,
                label=label,
                thresholds=thresholds,
                activation=activation,
                policy=policy,
                request_id=request_id,
            )
        )

    def get_bank(self, bank: str) -> Bank:
        """See `AsyncClient.get_bank`."""
        return self._run(self._client.get_bank(bank))

    def list_banks(
        self,
        *,
        state: BankState | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Bank]:
        """See `AsyncClient.list_banks`."""
        return self._iterate(self._client.list_banks(state=state, since=since, cursor=cursor))

    def update_bank(
        self,
        bank: str,
        *,
        name: str | None = None,
        label: str | None = None,
        action: Action | None = None,
        thresholds: Mapping[Kind, int] | None = None,
        activation: Activation | None = None,
        policy: BankPolicy | None = None,
        etag: str = "",
        request_id: str | None = None,
    ) -> Bank:
        """See `AsyncClient.update_bank`."""
        return self._run(
            self._client.update_bank(
                bank,
                name=name,
                label=label,
                action=action,
                thresholds=thresholds,
                activation=activation,
                policy=policy,
                etag=etag,
                request_id=request_id,
            )
        )

    def archive_bank(self, bank: str, *, etag: str = "", request_id: str | None = None) -> Bank:
        """See `AsyncClient.archive_bank`."""
        return self._run(self._client.archive_bank(bank, etag=etag, request_id=request_id))

    def add_entry(
        self,
        bank: str,
        media: MediaSource,
        *,
        reference: str = "",
        label: str = "",
        provenance: Provenance | None = None,
        expire_time: datetime.datetime | None = None,
        pending: bool = False,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Entry:
        """See `AsyncClient.add_entry`."""
        return self._run(
            self._client.add_entry(
                bank,
                media,
                reference=reference,
                label=label,
                provenance=provenance,
                expire_time=expire_time,
                pending=pending,
                request_id=request_id,
                timeout_seconds=timeout_seconds,
                progress=progress,
            )
        )

    def add_entry_from_signals(
        self,
        bank: str,
        signals: Sequence[common_pb2.Signals],
        *,
        reference: str = "",
        label: str = "",
        provenance: Provenance | None = None,
        expire_time: datetime.datetime | None = None,
        pending: bool = False,
        request_id: str | None = None,
    ) -> Entry:
        """See `AsyncClient.add_entry_from_signals`."""
        return self._run(
            self._client.add_entry_from_signals(
                bank,
                signals,
                reference=reference,
                label=label,
                provenance=provenance,
                expire_time=expire_time,
                pending=pending,
                request_id=request_id,
            )
        )

    def get_entry(self, entry_id: str) -> Entry:
        """See `AsyncClient.get_entry`."""
        return self._run(self._client.get_entry(entry_id))

    def list_entries(
        self,
        *,
        bank: str = "",
        state: EntryState | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Entry]:
        """See `AsyncClient.list_entries`."""
        return self._iterate(
            self._client.list_entries(bank=bank, state=state, since=since, cursor=cursor)
        )

    def approve_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """See `AsyncClient.approve_entry`."""
        return self._run(self._client.approve_entry(entry_id, why=why, request_id=request_id))

    def withdraw_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """See `AsyncClient.withdraw_entry`."""
        return self._run(self._client.withdraw_entry(entry_id, why=why, request_id=request_id))

    def watch_changes(
        self, after_revision: int = 0, *, resume_token: str = ""
    ) -> Iterator[BlocklistChange | Checkpoint]:
        """See `AsyncClient.watch_changes`."""
        return self._iterate(self._client.watch_changes(after_revision, resume_token=resume_token))

    def export_entries(
        self,
        bank: str,
        *,
        state: EntryState | None = EntryState.ACTIVE,
        kinds: Collection[Kind] = (),
        since: datetime.datetime | None = None,
        resume_token: str = "",
    ) -> Iterator[ExportedEntry]:
        """See `AsyncClient.export_entries`."""
        return self._iterate(
            self._client.export_entries(
                bank, state=state, kinds=kinds, since=since, resume_token=resume_token
            )
        )

    def import_entries(
        self,
        bank: str,
        source: MediaSource,
        *,
        format: Format | None = None,  # noqa: A002 - what it is called everywhere else
        kind: Kind | None = None,
        dry_run: bool = False,
        pending: bool = False,
        reference: str = "",
        label: str = "",
        provenance: Provenance | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Import:
        """See `AsyncClient.import_entries`."""
        return self._run(
            self._client.import_entries(
                bank,
                source,
                format=format,
                kind=kind,
                dry_run=dry_run,
                pending=pending,
                reference=reference,
                label=label,
                provenance=provenance,
                request_id=request_id,
                timeout_seconds=timeout_seconds,
                progress=progress,
            )
        )

    def get_import(self, import_id: str) -> Import:
        """See `AsyncClient.get_import`."""
        return self._run(self._client.get_import(import_id))

    def list_imports(
        self,
        *,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Import]:
        """See `AsyncClient.list_imports`."""
        return self._iterate(self._client.list_imports(since=since, cursor=cursor))

    def approve_import(
        self, import_id: str, *, why: str = "", request_id: str | None = None
    ) -> Import:
        """See `AsyncClient.approve_import`."""
        return self._run(self._client.approve_import(import_id, why=why, request_id=request_id))

    def withdraw_import(
        self, import_id: str, *, why: str = "", request_id: str | None = None
    ) -> Import:
        """See `AsyncClient.withdraw_import`."""
        return self._run(self._client.withdraw_import(import_id, why=why, request_id=request_id))

    def preview_entry(
        self,
        entry_id: str,
        *,
        screenings: int | None = None,
        benign: bool = True,
        timeout_seconds: float | None = None,
    ) -> Preview:
        """See `AsyncClient.preview_entry`."""
        return self._run(
            self._client.preview_entry(
                entry_id, screenings=screenings, benign=benign, timeout_seconds=timeout_seconds
            )
        )

    def preview_import(
        self,
        import_id: str,
        *,
        screenings: int | None = None,
        benign: bool = True,
        timeout_seconds: float | None = None,
    ) -> Preview:
        """See `AsyncClient.preview_import`."""
        return self._run(
            self._client.preview_import(
                import_id, screenings=screenings, benign=benign, timeout_seconds=timeout_seconds
            )
        )

    def create_caller(
        self,
        name: str,
        *,
        roles: Collection[Role],
        token: str = "",
        certificate: str = "",
        banks: Collection[str] = (),
        expire_time: datetime.datetime | None = None,
        request_id: str | None = None,
    ) -> KnownCaller:
        """See `AsyncClient.create_caller`."""
        return self._run(
            self._client.create_caller(
                name,
                roles=roles,
                token=token,
                certificate=certificate,
                banks=banks,
                expire_time=expire_time,
                request_id=request_id,
            )
        )

    def list_callers(
        self,
        *,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[KnownCaller]:
        """See `AsyncClient.list_callers`."""
        return self._iterate(self._client.list_callers(since=since, cursor=cursor))

    def revoke_caller(self, caller: str, *, request_id: str | None = None) -> KnownCaller:
        """See `AsyncClient.revoke_caller`."""
        return self._run(self._client.revoke_caller(caller, request_id=request_id))

    def get_self(self) -> Caller:
        """See `AsyncClient.get_self`."""
        return self._run(self._client.get_self())

    def get_case(self, case_id: str) -> Case:
        """See `AsyncClient.get_case`."""
        return self._run(self._client.get_case(case_id))

    def list_cases(
        self,
        *,
        state: CaseState | None = None,
        case_type: CaseType | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[Case]:
        """See `AsyncClient.list_cases`."""
        found = self._client.list_cases(
            state=state, case_type=case_type, since=since, cursor=cursor
        )
        return self._iterate(found)

    def decide_case(
        self,
        case_id: str,
        decision: CaseDecision,
        *,
        why: str = "",
        etag: str = "",
        request_id: str | None = None,
    ) -> Case:
        """See `AsyncClient.decide_case`."""
        return self._run(
            self._client.decide_case(case_id, decision, why=why, etag=etag, request_id=request_id)
        )

    def release_entry(
        self, entry_id: str, *, why: str = "", request_id: str | None = None
    ) -> Entry:
        """See `AsyncClient.release_entry`."""
        return self._run(self._client.release_entry(entry_id, why=why, request_id=request_id))

    def list_audit_rows(
        self,
        *,
        actor: str = "",
        subject: str = "",
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> Iterator[AuditRow]:
        """See `AsyncClient.list_audit_rows`."""
        return self._iterate(
            self._client.list_audit_rows(actor=actor, subject=subject, since=since, cursor=cursor)
        )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # A keyboard interrupt stops the call too.
            raise

    def _iterate(self, items: AsyncGenerator[T]) -> Iterator[T]:
        async def following() -> tuple[T] | tuple[()]:
            try:
                return (await anext(items),)
            except StopAsyncIteration:
                return ()

        async def end() -> None:
            while getattr(items, "ag_running", False):  # A step that was cancelled a moment ago.
                await asyncio.sleep(0)
            await items.aclose()

        try:
            while found := self._run(following()):
                yield from found
        finally:
            if not self._loop.is_closed():
                self._run(end())
