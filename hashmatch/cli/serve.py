"""``hashmatch serve``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated, Any

import typer

from hashmatch import streams
from hashmatch.cli import options
from hashmatch.cli.options import AsJson, Data, DatabaseUrl
from hashmatch.cli.output import Context, failed, print_json, stderr, stdout
from hashmatch.errors import HashmatchError

__all__ = ["serve"]


def serve(
    context: typer.Context,
    data: Data = None,
    database: DatabaseUrl = None,
    listen: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT; port 0: any.  [default: 127.0.0.1:50051]", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Decoding processes.  [default: one a core]")
    ] = None,
    unsafe_no_sandbox: Annotated[
        bool,
        typer.Option("--unsafe-no-sandbox", help="Start even where workers cannot be confined."),
    ] = False,
    allow_plaintext: Annotated[
        bool,
        typer.Option(
            "--allow-plaintext", help="Listen without TLS elsewhere than on loopback too."
        ),
    ] = False,
    unsafe_no_auth: Annotated[
        bool, typer.Option("--unsafe-no-auth", help="Ask no caller who it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the server until SIGTERM. All settings: docs/settings.md."""
    shared = options.of(context, None, as_json)
    try:
        _serve(
            shared,
            data=data,
            database=database,
            listen=listen,
            workers=workers,
            unsafe_no_sandbox=unsafe_no_sandbox or None,
            allow_plaintext=allow_plaintext or None,
            unsafe_no_auth=unsafe_no_auth or None,
        )
    except HashmatchError as error:
        failed(error, shared)
        raise typer.Exit(1) from None


def _serve(context: Context, **given: Any) -> None:
    settings = options.server_part("config").load(**given)
    # Numba chooses where compiled kernels are kept when the modules below are imported.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(settings.data.absolute() / "cache" / "numba"))
    app, logs = options.server_part("app"), options.server_part("telemetry.logs")
    logs.configure(settings.log_level)

    def on_ready(started: Any) -> None:
        if not started.first_token:
            # What is told then is as good as a line of the log, which fails no server either.
            sys.stdout = streams.unfailing(sys.stdout)
        try:
            announce(started)
        except OSError:
            # Nobody has it: the next start would tell none.
            stderr.print("the first admin's token is lost; make another: hashmatch caller recover")
            raise

    def announce(started: Any) -> None:
        if context.json:
            token = {"first_token": started.first_token} if started.first_token else {}
            print_json({"listening": started.address, **token})
            return
        if started.first_token:
            # The one line that is wider than a terminal may be: it is copied as a whole.
            stdout.print("The first admin's token, which is shown this once:")
            stdout.print(started.first_token, soft_wrap=True, style="bold")
            stdout.print("Keep it as HASHMATCH_TOKEN, and make callers: hashmatch caller create")
        stdout.print(f"listening on {started.address}")

    asyncio.run(app.run(settings, on_ready))
