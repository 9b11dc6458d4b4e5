"""What the client calls to see what an entry or an import would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashmatch.model.previews import Preview
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.previews import preview_from_wire

__all__ = ["PreviewCalls"]


class PreviewCalls:
    """A part of `hashmatch.client.AsyncClient`."""

    _blocklist: Any
    _unary: Callable[..., Any]

    async def preview_entry(
        self,
        entry_id: str,
        *,
        screenings: int | None = None,
        benign: bool = True,
        timeout_seconds: float | None = None,
    ) -> Preview:
        """What an entry would have matched, whatever its state: among so many of the newest
        ``screenings`` (0 to 10,000; None: 1,000), and with ``benign`` among the entries of negative
        banks. Changes nothing. A server does one preview at a time; others wait for their turn.
        """
        request = pb.PreviewEntryRequest(entry_id=entry_id, screenings=screenings, benign=benign)
        response = await self._unary(self._blocklist.PreviewEntry, request, timeout_seconds)
        return preview_from_wire(response.preview)

    async def preview_import(
        self,
        import_id: str,
        *,
        screenings: int | None = None,
        benign: bool = True,
        timeout_seconds: float | None = None,
    ) -> Preview:
        """Likewise, of all entries of an import."""
        request = pb.PreviewImportRequest(import_id=import_id, screenings=screenings, benign=benign)
        response = await self._unary(self._blocklist.PreviewImport, request, timeout_seconds)
        return preview_from_wire(response.preview)
