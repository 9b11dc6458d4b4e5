"""What an upload pipeline imports: `Client`, and `AsyncClient` for asyncio.

Answers are the records of `hashmatch.model`; errors are those of `hashmatch.errors`.
"""

from hashmatch.client._async import AsyncClient
from hashmatch.client._sync import Client

__all__ = ["AsyncClient", "Client"]
