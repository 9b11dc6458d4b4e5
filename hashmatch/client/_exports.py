"""What the client calls to export entries."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any

from grpc import aio

from hashmatch.client._streams import SILENCE_SECONDS, next_of
from hashmatch.errors import Unavailable
from hashmatch.model.exports import ExportedEntry
from hashmatch.model.verdicts import EntryState, Kind
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.exports import exported_from_wire
from hashmatch.wire.records import timestamp
from hashmatch.wire.status import error_from_call

__all__ = ["ExportCalls"]


class ExportCalls:
    """A part of `hashmatch.client.AsyncClient`."""

    _blocklist: Any
    _until_answered: Callable[..., Any]

    async def export_entries(
        self,
        bank: str,
        *,
        state: EntryState | None = EntryState.ACTIVE,
        kinds: Collection[Kind] = (),
        since: datetime.datetime | None = None,
        resume_token: str = "",
    ) -> AsyncGenerator[ExportedEntry]:
        """The entries of a bank with their hashes, in the order in which they were made: those in
        use, unless another ``state`` is given, or None for all. ``kinds``: only hashes of these;
        entries that have none of them come without any. ``since``: only entries made at or after
        it.

        An entry with many hashes comes in several parts. A broken connection is made anew, for as
        long as any other call is tried, and goes on after what was told. To go on after a restart,
        ask the same and give the ``resume_token`` of what was told last.
        """
        request = pb.ExportEntriesRequest(
            bank=bank,
            state=int(state or 0),  # type: ignore[arg-type]
            kinds=[int(kind) for kind in sorted(kinds)],  # type: ignore[misc]
            created_since=None if since is None else timestamp(since),
            resume_token=resume_token,
        )

        async def call(timeout: float | None) -> tuple[Any, Any]:
            responses = self._blocklist.ExportEntries(request)
            allowed = min(timeout or SILENCE_SECONDS, SILENCE_SECONDS)
            return responses, await next_of(responses, allowed)

        while True:
            responses, response = await self._until_answered(call, None, can_repeat=True)
            try:
                while response is not aio.EOF:
                    for message in response.entries:
                        request.resume_token = message.resume_token
                        yield exported_from_wire(message)
                    response = await next_of(responses, SILENCE_SECONDS)
                return
            except aio.AioRpcError as failed:
                error = error_from_call(failed)
                if not isinstance(error, Unavailable):
                    raise error from failed
            finally:
                responses.cancel()
