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
from hashmatch.cli.command import Shared, command
from hashmatch.cli.options import AsJson, Quiet, Server
from hashmatch.cli.output import stdout

__all__ = ["app", "main"]

app = typer.Typer(
    name="hashmatch",
    help="Screens media against a blocklist of perceptual hashes before it is published.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage; of screen --exit-code also 10 REVIEW, "
    "11 INCONCLUSIVE, 12 BLOCK.",
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
    quiet: Quiet = False,
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
    context.obj = Shared(server, as_json, quiet)


_SERVE = "serve --data /var/lib/hashmatch --listen 127.0.0.1:50051"
command(app, "serve", examples=(_SERVE,), has_progress=False)(serve.serve)
command(app, "screen", examples=("screen upload.mp4", "screen --exit-code --json *.jpg"))(
    screening.screen
)
command(app, "changes", check=changes.check, examples=("changes --since 24h", "changes --follow"))(
    changes.changes
)
command(app, "doctor")(doctor.doctor)
command(app, "hash", examples=("hash clip.mp4", "hash --json clip.mp4"))(local.hash_files)
command(app, "storyboard", examples=("storyboard clip.mp4 -o board.png",))(local.storyboard)
command(app, "calibrate", examples=("calibrate clean/ --plot curve.svg",))(calibrate.calibrate)
command(
    entries.app,
    "export",
    check=exports.check,
    examples=(
        "entry export known-abuse --format jsonl -o known-abuse.jsonl",
        "entry export known-abuse --format hashes --kind pdq --since 7d",
    ),
)(exports.export)
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
