"""Imported by the process that servers are forked from (see `tests.served`): the server's modules,
with their kernels.
"""

import hashmatch.app
import hashmatch.cli.serve  # noqa: F401
from hashmatch.engine.index import bands

bands.warm_up()
