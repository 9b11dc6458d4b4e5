"""What an upload pipeline imports: `Client`, and `AsyncClient` for asyncio. `Cursor` pages lists.

Answers are the records of `hashmatch.model`; errors are those of `hashmatch.errors`.
"""

from hashmatch.client._async import AsyncClient
from hashmatch.client._paging import Cursor
from hashmatch.client._sync import Client

__all__ = ["AsyncClient", "Client", "Cursor"]
