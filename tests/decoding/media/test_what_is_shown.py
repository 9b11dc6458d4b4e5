"""The table of what is shown names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

_HERE = ROOT / "tests"
_TABLE = (_HERE.parent / "docs" / "what_is_shown.md").read_text()
_NAMED = re.findall(r"`(test_\w+)::(test_\w+)`", _TABLE)


@pytest.mark.parametrize(("module", "name"), sorted(set(_NAMED)))
def test_the_test_exists(module: str, name: str) -> None:
    """A reader would trust a promise that nothing checks."""
    (source,) = _HERE.rglob(f"{module}.py")
    assert f"def {name}(" in source.read_text()


def test_every_row_has_a_test() -> None:
    """A layer could be listed as seen to without anybody having looked."""
    rows = [line for line in _TABLE.splitlines() if line.startswith("| ")]
    for row in rows:
        if not row.startswith("| layer"):
            assert re.search(r"`test_\w+::test_\w+`", row), row
