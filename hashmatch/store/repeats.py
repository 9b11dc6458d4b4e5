"""Requests that come again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hashmatch.errors import RequestIdReused
from hashmatch.model.call import Call

__all__ = ["earlier"]


def earlier(
    connection: sa.Connection, query: sa.Select[Any], table: sa.Table, call: Call
) -> sa.Row[Any] | None:
    """The row of ``query`` whose ``table`` says that the same request made it; None if the request
    is new. Raises `RequestIdReused` if an earlier request of the same id had another fingerprint.
    """
    row = connection.execute(query.where(table.c.request_id == call.request_id)).first()
    if row is not None and row.fingerprint != call.fingerprint:
        raise RequestIdReused("request_id: it was used for another request; make a new one")
    return row
