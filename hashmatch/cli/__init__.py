"""The command line. What commands print and how they end: ``docs/commands.md``."""

from hashmatch.cli.root import app, main

__all__ = ["app", "main"]
