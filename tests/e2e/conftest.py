"""Servers that the end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases import SERVED
from tests.staff import Staff, employed


@pytest.fixture(scope="session", params=SERVED)
def staff(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Staff]:
    """A server and its callers; on each sort of database in the long form."""
    with employed(request.param, tmp_path_factory.mktemp("staff")) as made:
        yield made
