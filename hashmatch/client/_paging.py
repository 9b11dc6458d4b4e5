"""Lists that come page by page."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

__all__ = ["Cursor", "PageRequest", "PageResponse", "created_since", "pages"]

# Items of a page. A server allows 1 to 1000.
_PAGE: Final = 200


@dataclass(slots=True)
class Cursor:
    """Where in a list to begin, and how much of it to read: all if ``limit`` is 0.

    ``token`` is empty for the beginning. As the list is read it becomes the token of the rest, and
    empty again at the end of the list.
    """

    token: str = ""
    limit: int = 0


class PageRequest(Protocol):
    """A request for one page of a list."""

    page_size: int
    page_token: str


class PageResponse(Protocol):
    """One page of a list."""

    next_page_token: str


class _Created(Protocol):
    @property
    def create_time(self) -> datetime.datetime: ...


OfPage = TypeVar("OfPage", bound=PageRequest)
Page = TypeVar("Page", bound=PageResponse)
Created = TypeVar("Created", bound=_Created)


async def pages(
    ask: Callable[[OfPage], Awaitable[Page]], request: OfPage, cursor: Cursor
) -> AsyncGenerator[Page]:
    """Yields the pages of a list, each asked for when it is read. ``cursor`` moves along."""
    left = cursor.limit
    while True:
        request.page_token = cursor.token
        request.page_size = min(_PAGE, left) if cursor.limit else _PAGE
        response = await ask(request)
        cursor.token = response.next_page_token
        left -= request.page_size
        yield response
        if not cursor.token or (cursor.limit and left <= 0):
            return


async def created_since(
    items: AsyncGenerator[Created], since: datetime.datetime | None, cursor: Cursor | None
) -> AsyncGenerator[Created]:
    """Yields ``items``, newest first, up to the first that was created before ``since`` (None:
    all), where ``cursor`` ends too. For lists whose requests have no such field.
    """
    async with contextlib.aclosing(items):
        async for item in items:
            if since is not None and item.create_time < since:
                if cursor is not None:
                    cursor.token = ""
                return
            yield item
