"""What makes a change safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass

from hashmatch.errors import RequestIdReused

__all__ = ["Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """The same id with the same fingerprint gets the same answer. ``actor`` is the id of the caller
    who asks, for the audit trail; empty where callers are not asked who they are.
    """

    request_id: str
    fingerprint: str
    actor: str = ""

    def check(self, fingerprint: str) -> None:
        """Raises `RequestIdReused` if a request of the same id had another fingerprint."""
        if fingerprint != self.fingerprint:
            raise RequestIdReused("request_id: it was used for another request; make a new one")
