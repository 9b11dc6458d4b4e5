"""The commands put together."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from hashmatch import streams
from hashmatch.cli import (
    audit,
    banks,
    calibrate,
    callers,
    cases,
    changes,
    doctor,
    entries,
    exports,
    imports,
    local,
    screening,
    serve,
)
from hashmatch.cli.options import AsJson, Server
from hashmatch.cli.output import Context, stdout

__all__ = ["app", "main"]

app = typer.Typer(
    name="hashmatch",
    help="Screens media against a blocklist of perceptual hashes before it is published.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # Locals may hold hashes.
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        stdout.print(f"hashmatch {metadata.version('hashmatch')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    server: Server = None,
    as_json: AsJson = False,
    version: Annotated[  # noqa: ARG001 - acts before any command
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
            show_default=False,
        ),
    ] = False,
) -> None:
    """Screens media against a blocklist of perceptual hashes before it is published."""
    context.obj = Context(server, as_json)


app.command("serve")(serve.serve)
app.command("screen")(screening.screen)
app.command("changes")(changes.changes)
app.command("doctor")(doctor.doctor)
app.command("hash")(local.hash_files)
app.command("storyboard")(local.storyboard)
app.command("calibrate")(calibrate.calibrate)
entries.app.command("export")(exports.export)
app.add_typer(audit.app, name="audit")
app.add_typer(callers.app, name="caller")
app.add_typer(screening.app, name="screening")
app.add_typer(cases.app, name="case")
app.add_typer(banks.app, name="bank")
app.add_typer(entries.app, name="entry")
app.add_typer(imports.app, name="import")


def main() -> None:
    """The ``hashmatch`` command."""
    streams.run(app)
