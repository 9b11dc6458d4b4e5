"""Asks every caller who it is, before anything of its call is read."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import AsyncIterator
from typing import Any, Final

from hashmatch.access.authorizer import Authorizer
from hashmatch.decoding import admission
from hashmatch.errors import AccessDenied
from hashmatch.model.callers import Caller
from hashmatch.server.grpc.wrapping import WrappingInterceptor

__all__ = ["AccessInterceptor", "current_caller"]

_UNKNOWN: Final = Caller("", "", frozenset())
_CALLER: contextvars.ContextVar[Caller] = contextvars.ContextVar("caller", default=_UNKNOWN)


def current_caller() -> Caller:
    """Whose call a handler is at work on; one without any role where nobody was asked."""
    return _CALLER.get()


class AccessInterceptor(WrappingInterceptor):
    """Denies what is not allowed; what handlers themselves deny is written down here too."""

    def __init__(self, access: Authorizer) -> None:
        """Asks ``access``."""
        super().__init__(self._admitted)
        self._access = access

    @contextlib.asynccontextmanager
    async def _admitted(self, context: Any, path: str) -> AsyncIterator[None]:
        method = path.removeprefix("/hashmatch.v1.")
        _CALLER.set(_UNKNOWN)
        try:
            caller = await self._access.authenticated(_authorization(context), _names(context))
            _CALLER.set(caller)
            # Who is given a share of the server: a machine, where callers have no names.
            machine = str(context.peer()).rpartition(":")[0]
            admission.CALLER.set(caller.caller_id or machine)
            self._access.check(method, caller)
            yield
        except AccessDenied as error:
            await self._access.denied(method, _CALLER.get(), error.reason)
            raise


def _authorization(context: Any) -> str:
    given = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    # Of two, each could be taken for the right one.
    return str(given[0]) if len(given) == 1 else "" if not given else "?"


def _names(context: Any) -> list[str]:
    """Common names of a client's certificate, which TLS has checked."""
    names = context.auth_context().get("x509_common_name") or ()
    return [bytes(name).decode("utf-8", "replace") for name in names]
