"""Lists that come page by page."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

__all__ = ["Cursor", "PagingCalls"]

# The most that a server gives at once is 1000.
_PAGE: Final = 200

T = TypeVar("T")


@dataclass(slots=True)
class Cursor:
    """Where in a list to begin, and how much of it to read: all if ``limit`` is 0.

    ``token`` is empty for the beginning. As the list is read it becomes what asks for the rest, and
    empty again if there is none.
    """

    token: str = ""
    limit: int = 0


class PagingCalls:
    """A part of `hashmatch.client.AsyncClient`."""

    _unary: Callable[..., Any]

    async def _items(
        self,
        method: Callable[..., Any],
        request: Any,
        items: str,
        read: Callable[[Any], T],
        *,
        cursor: Cursor | None,
        since: datetime.datetime | None = None,
    ) -> AsyncGenerator[T]:
        """What a list has in the field ``items`` of its pages, newest first. ``since`` ends it at
        the first that was made before, where the call itself cannot be told.
        """
        cursor = cursor or Cursor()
        async with contextlib.aclosing(self._pages(method, request, cursor)) as pages:
            async for response in pages:
                for message in getattr(response, items):
                    item: Any = read(message)
                    if since is not None and item.create_time < since:
                        cursor.token = ""
                        return
                    yield item

    async def _pages(
        self, method: Callable[..., Any], request: Any, cursor: Cursor
    ) -> AsyncGenerator[Any]:
        left = cursor.limit
        while True:
            request.page_token = cursor.token
            request.page_size = min(_PAGE, left) if cursor.limit else _PAGE
            response = await self._unary(method, request)
            cursor.token = response.next_page_token
            left -= request.page_size
            yield response
            if not cursor.token or (cursor.limit and left <= 0):
                return
