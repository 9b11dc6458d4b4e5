"""``hashmatch serve``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated, Any, Final

from hashmatch import streams
from hashmatch.cli.options import Data, DatabaseUrl, opt, server_part
from hashmatch.cli.output import Output, stderr

__all__ = ["serve"]

_LISTEN: Final = "Address to listen on, HOST:PORT; with port 0 any free port."
_NO_SANDBOX: Final = "Start even where decoding processes cannot be confined."
_PLAINTEXT: Final = "Listen without TLS on other addresses than loopback too."
_NO_AUTH: Final = "Disable authentication: whoever can connect has every role."


def serve(
    out: Output,
    data: Data = None,
    database: DatabaseUrl = None,
    listen: Annotated[str | None, opt(_LISTEN, "127.0.0.1:50051")] = None,
    workers: Annotated[
        int | None, opt("Number of decoding processes.", "one for each core")
    ] = None,
    unsafe_no_sandbox: Annotated[bool, opt(_NO_SANDBOX, False, "--unsafe-no-sandbox")] = False,
    allow_plaintext: Annotated[bool, opt(_PLAINTEXT, False, "--allow-plaintext")] = False,
    unsafe_no_auth: Annotated[bool, opt(_NO_AUTH, False, "--unsafe-no-auth")] = False,
) -> None:
    """Run the server until SIGTERM. All settings: docs/settings.md."""
    settings = server_part("config").load(
        data=data,
        database=database,
        listen=listen,
        workers=workers,
        unsafe_no_sandbox=unsafe_no_sandbox or None,
        allow_plaintext=allow_plaintext or None,
        unsafe_no_auth=unsafe_no_auth or None,
    )
    # Numba chooses where compiled kernels are kept when the modules below are imported.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(settings.data.absolute() / "cache" / "numba"))
    app, logs = server_part("app"), server_part("telemetry.logs")
    logs.configure(settings.log_level)

    def on_ready(started: Any) -> None:
        if not started.first_token:
            # What is told then is as good as a line of the log, which fails no server either.
            sys.stdout = streams.unfailing(sys.stdout)
        try:
            announce(started)
        except OSError:
            # Nobody has it: the next start would tell none.
            lost = "the first admin's token is lost; make another: hashmatch caller recover"
            stderr.print(lost)
            raise

    def announce(started: Any) -> None:
        token = {"first_token": started.first_token} if started.first_token else {}
        out.write({"listening": started.address, **token})
        if started.first_token:
            # The one line that is wider than a terminal may be: it is copied as a whole.
            out.say("The first admin's token, which is shown this once:")
            out.say(started.first_token, wrap=False, style="bold")
            out.say("Keep it as HASHMATCH_TOKEN, and make callers: hashmatch caller create")
        out.say(f"listening on {started.address}")

    asyncio.run(app.run(settings, on_ready))
