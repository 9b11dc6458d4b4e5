"""What the client calls to import lists."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from hashmatch.client._connection import new_request_id
from hashmatch.client._media import MediaReader, MediaSource, Progress
from hashmatch.client._paging import Cursor
from hashmatch.model.imports import Format, Import
from hashmatch.model.records import Provenance
from hashmatch.model.verdicts import Kind
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.imports import import_from_wire
from hashmatch.wire.records import provenance_to_wire

__all__ = ["ImportCalls"]


class ImportCalls:
    """A part of `hashmatch.client.AsyncClient`."""

    _blocklist: Any
    _unary: Callable[..., Any]
    _upload: Callable[..., Any]
    _items: Callable[..., AsyncGenerator[Any]]

    async def import_entries(
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
        """Makes entries of a list of hashes: a path, bytes, or an open file. Lines that are broken
        are reported and skipped; what the bank has already stays as it is. With ``dry_run`` nothing
        is imported: it tells what would come of it. With ``pending`` its entries wait for approval
        in any bank.
        """
        header = pb.ImportEntriesHeader(
            request_id=request_id or new_request_id(),
            bank=bank,
            format=int(format or 0),  # type: ignore[arg-type]
            kind=int(kind or 0),  # type: ignore[arg-type]
            dry_run=dry_run,
            reference=reference,
            label=label,
            provenance=None if provenance is None else provenance_to_wire(provenance),
            pending=pending,
        )

        def call(reader: MediaReader, timeout: float | None) -> Awaitable[Any]:
            async def messages() -> AsyncIterator[pb.ImportEntriesRequest]:
                yield pb.ImportEntriesRequest(header=header)
                async for chunk in reader.chunks(progress):
                    yield pb.ImportEntriesRequest(chunk=chunk)

            return self._blocklist.ImportEntries(messages(), timeout=timeout)  # type: ignore[no-any-return]

        response = await self._upload(source, call, timeout_seconds)
        return _import(response)

    async def get_import(self, import_id: str) -> Import:
        """An import, with its problems."""
        request = pb.GetImportRequest(import_id=import_id)
        return _import(await self._unary(self._blocklist.GetImport, request))

    def list_imports(
        self, *, since: datetime.datetime | None = None, cursor: Cursor | None = None
    ) -> AsyncGenerator[Import]:
        """Imports, newest first, without their problems."""
        return self._items(
            self._blocklist.ListImports,
            pb.ListImportsRequest(),
            "imports",
            import_from_wire,
            cursor=cursor,
            since=since,
        )

    async def approve_import(
        self, import_id: str, *, why: str = "", request_id: str | None = None
    ) -> Import:
        """Brings all pending entries of an import into use; see ApproveImport."""
        request = pb.ApproveImportRequest(
            request_id=request_id or new_request_id(), import_id=import_id, why=why
        )
        return _import(await self._unary(self._blocklist.ApproveImport, request))

    async def withdraw_import(
        self, import_id: str, *, why: str = "", request_id: str | None = None
    ) -> Import:
        """Takes all entries of an import out of use."""
        request = pb.WithdrawImportRequest(
            request_id=request_id or new_request_id(), import_id=import_id, why=why
        )
        return _import(await self._unary(self._blocklist.WithdrawImport, request))


def _import(response: Any) -> Import:
    return import_from_wire(getattr(response, "import"))
