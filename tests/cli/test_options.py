"""What commands share."""

from __future__ import annotations

import re
from importlib.util import find_spec

from tests.conftest import ROOT

_NAMED = re.compile(r"server_part\(\s*\"([\w.]+)\"")


def test_commands_name_no_part_of_the_store() -> None:
    """A part that is loaded by its name is seen by no contract of imports."""
    named = {
        part
        for source in (ROOT / "hashmatch" / "cli").glob("*.py")
        for part in _NAMED.findall(source.read_text())
    }
    assert {"app", "config", "admin"} <= named
    assert not [part for part in named if part.startswith("store")]
    assert all(find_spec(f"hashmatch.{part}") for part in named)
