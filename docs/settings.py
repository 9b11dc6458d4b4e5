"""Writes docs/settings.md from the settings themselves: ``python -m docs.settings [--check]``."""

from __future__ import annotations

import sys
from pathlib import Path

from hashmatch.config import Settings

PAGE = Path(__file__).with_name("settings.md")

HEAD = """# Settings of the server

Each is a variable of the environment; `--data`, `--database`, `--listen` and `--workers` of
`hashmatch serve` go before their variables. This page is made by `python -m docs.settings`.

| variable | default | what it is |
|---|---|---|
"""

# Where the value itself says little.
_DEFAULTS = {
    "workers": "cores of the machine",
    "database": "SQLite",
    "metrics": "nowhere",
    **dict.fromkeys(
        ("tls_certificate", "tls_key", "tls_client_ca", "oidc_issuer", "oidc_audience"), "none"
    ),
    "oidc_keys": "the issuer's",
}


def page() -> str:
    """The page as it should be."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = _DEFAULTS.get(name, field.default)
        rows.append(f"| `HASHMATCH_{name.upper()}` | {default} | {field.description} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != page():
            raise SystemExit("docs/settings.md is stale, run 'python -m docs.settings'")
    else:
        PAGE.write_text(page())
