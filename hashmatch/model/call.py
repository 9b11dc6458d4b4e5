"""A call: who makes it, and what makes it safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hashmatch.model.callers import Caller

__all__ = ["Call"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a use case, made at the door where the caller was authenticated.

    ``request_id`` and ``fingerprint`` (a hash of all that the request says) identify a change: the
    same id with the same fingerprint gets the same answer, with another one `RequestIdReused`.
    Both are empty for a call that changes nothing.
    """

    caller: Caller
    request_id: str = ""
    fingerprint: str = ""

    @property
    def actor(self) -> str:
        """The id of the caller, for the audit trail; empty where authentication is off, and for
        changes that the server makes by itself.
        """
        return self.caller.caller_id

    def part(self, request_id: str) -> Call:
        """One of several changes that the call makes, under an id of its own."""
        return replace(self, request_id=request_id, fingerprint="")
