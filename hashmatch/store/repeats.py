"""Requests that come again."""

from __future__ import annotations

from hashmatch.errors import RequestIdReused
from hashmatch.model.commands import Request

__all__ = ["check"]


def check(request: Request, fingerprint: str) -> None:
    """Raises `RequestIdReused` if an earlier request of the same id had another ``fingerprint``."""
    if fingerprint != request.fingerprint:
        raise RequestIdReused("request_id: it was used for another request; make a new one")
