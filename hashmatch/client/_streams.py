"""Answers that come one after the other."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc
from grpc import aio

__all__ = ["SILENCE_SECONDS", "broken_off", "next_of"]

# A connection that died without a word is told by its silence.
SILENCE_SECONDS: Final = 20.0


async def next_of(responses: Any, seconds: float) -> Any:
    """The next answer, or ``aio.EOF`` after the last. Raises ``aio.AioRpcError``."""
    try:
        return await asyncio.wait_for(responses.read(), seconds)
    except TimeoutError:
        raise broken_off(responses) from None


def broken_off(responses: Any) -> aio.AioRpcError:
    """What to raise where nothing more was heard."""
    responses.cancel()
    nothing = aio.Metadata()
    return aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "nothing more was heard")
