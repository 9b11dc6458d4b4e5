"""The command line. Exit codes: 0 done, 1 something failed, 2 wrong usage; ``screen --exit-code``
adds 10 (REVIEW), 11 (INCONCLUSIVE) and 12 (BLOCK).
"""

from hashmatch.cli.root import app, main

__all__ = ["app", "main"]
