"""Changes of the blocklist for outside readers, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from hashmatch.errors import NotReady, PermissionDenied
from hashmatch.model.call import Call
from hashmatch.model.changes import Position
from hashmatch.model.records import BlocklistChange, Checkpoint
from hashmatch.store.audit import Audit
from hashmatch.store.changes import History
from hashmatch.usecases.replica import Replica

__all__ = ["Changes"]

_AT_ONCE: Final = 500

# A reader hears something at least this often, so that it can tell silence from a broken
# connection.
_CHECKPOINT_SECONDS: Final = 2.0


class Changes:
    """One per server."""

    def __init__(self, history: History, replica: Replica, audit: Audit) -> None:
        """``replica`` follows the same store, and ``audit`` is its trail."""
        self._history = history
        self._audit = audit
        self._replica = replica
        self._ended = False

    async def watch(
        self, call: Call, after: Position
    ) -> AsyncGenerator[BlocklistChange | Checkpoint]:
        """Every change, in order, and a checkpoint when there is none, and every two seconds from
        then on. A reader that is slow costs no more than a page of changes.

        Raises `ChangesCompacted`, `RevisionUnknown`, `StoreUnavailable`; `NotReady` once the server
        is stopping; `PermissionDenied` to a caller who may not see all banks.
        """
        if call.caller.banks is not None:
            raise PermissionDenied
        if call.caller.caller_id:
            details = {"after_revision": after.revision}
            await asyncio.to_thread(
                self._audit.note, "changes_watched", "", details, call.caller.caller_id
            )
        position = after
        while not self._ended:
            found, position, checkpoint = await asyncio.to_thread(
                self._history.read, position, _AT_ONCE
            )
            for change in found:
                yield change
            if checkpoint is not None:
                yield checkpoint
                await self._replica.wait_beyond(checkpoint.revision, _CHECKPOINT_SECONDS)
        raise NotReady("the server is stopping; go on at another")

    def end(self) -> None:
        """No reader is told anything more."""
        self._ended = True
        self._replica.wake()
