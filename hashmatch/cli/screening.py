"""``hashmatch screen`` and ``hashmatch screening …``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from hashmatch.cli import options
from hashmatch.cli.options import After, AsJson, Data, DatabaseUrl, Limit, Server, Since
from hashmatch.cli.output import (
    Context,
    failed,
    listed,
    message_json,
    plain,
    print_json,
    print_screening,
    progress_bar,
    promised,
    stderr,
    stdout,
    table,
)
from hashmatch.client import AsyncClient, Cursor
from hashmatch.errors import HashmatchError
from hashmatch.model.records import Screening
from hashmatch.model.verdicts import Verdict
from hashmatch.wire.records import screening_to_wire

__all__ = ["EXIT_CODES", "app", "screen"]

# Exit codes of `screen --exit-code`: that of the file it went worst for.
EXIT_CODES: Final = {
    Verdict.NO_MATCH: 0,
    Verdict.REVIEW: 10,
    Verdict.INCONCLUSIVE: 11,
    Verdict.BLOCK: 12,
}

app = typer.Typer(help="Look at screenings that were made.", no_args_is_help=True)


def screen(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(help="Videos and images; '-' is standard input.")],
    server: Server = None,
    as_json: AsJson = False,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Files to send at once.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one file.")] = 600.0,
    exit_code: Annotated[
        bool,
        typer.Option(help="Exit with 10, 11 or 12 if a file is REVIEW, INCONCLUSIVE or BLOCK."),
    ] = False,
) -> None:
    """Screen files: is any of it on the blocklist, was all of it looked at."""
    shared = options.of(context, server, as_json)
    outcomes = asyncio.run(_screen_all(files, shared, jobs, timeout))
    if any(screening is None for screening in outcomes):
        raise typer.Exit(1)
    if exit_code:
        raise typer.Exit(max(EXIT_CODES[each.verdict] for each in outcomes if each is not None))


async def _screen_all(
    files: list[str], context: Context, jobs: int, timeout: float
) -> list[Screening | None]:
    """Screens in parallel, prints in the order of the files; None where one failed."""
    places = asyncio.Semaphore(jobs)
    async with AsyncClient(context.server, timeout_seconds=timeout) as client:

        async def one(file: str) -> Screening:
            async with places:
                return await client.screen(sys.stdin.buffer if file == "-" else file)

        if not await client.is_ready():
            error = options.no_server(client.server)
            # A script gets an answer for each file; a person needs to read it once.
            for about in [{"file": file} for file in files] if context.json else [{}]:
                failed(error, context, **about)
            raise typer.Exit(1)
        tasks = [asyncio.create_task(one(file)) for file in files]
        outcomes: list[Screening | None] = []
        with progress_bar(len(files), "screening") as advance:
            for file, task in zip(files, tasks, strict=True):
                try:
                    screening = await task
                except (HashmatchError, OSError) as error:
                    failed(error, context, file=file)
                    outcomes.append(None)
                else:
                    _print(file, screening, context)
                    outcomes.append(screening)
                advance()
    return outcomes


def _print(file: str, screening: Screening, context: Context) -> None:
    if context.json:
        print_json({"file": file, "screening": message_json(screening_to_wire(screening))})
    else:
        print_screening(file, screening)


@app.command("show")
def show(
    context: typer.Context,
    screening_id: Annotated[str, typer.Argument(metavar="ID")],
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Show one screening with its newest verdict."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        screening = client.get_screening(screening_id)
    _show(screening, shared)


@app.command("confirm")
def confirm(
    context: typer.Context,
    screening_id: Annotated[str, typer.Argument(metavar="ID")],
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Judge a screening again, against the blocklist of now."""
    shared = options.of(context, server, as_json)
    with options.connected(shared) as client:
        screening = client.confirm(screening_id)
    _show(screening, shared)


def _show(screening: Screening, context: Context) -> None:
    if context.json:
        print_json({"screening": message_json(screening_to_wire(screening))})
        return
    print_screening(screening.media.format or "media", screening)
    if screening.evidence_withheld:
        stdout.print("  This caller is told verdicts alone; a reviewer sees the rest.", style="dim")
        return
    coverage, media = screening.coverage, screening.media
    decided = "" if screening.decision is None else f", {screening.decision.name.lower()}"
    rows = table("", "")
    if screening.case_id:
        rows.add_row("case", f"{screening.case_id}{decided or ', open'}")
    for name, value in (
        ("screened", f"{screening.create_time:%Y-%m-%d %H:%M:%S} UTC"),
        (
            "judged",
            f"{screening.judge_time:%Y-%m-%d %H:%M:%S} UTC, judgement {screening.judgement}",
        ),
        ("revision", f"{screening.blocklist_revision} of the blocklist"),
        ("media", f"{media.size_bytes} bytes, {media.width} x {media.height} pixels"),
        ("coverage", f"{'complete' if coverage.complete else 'not complete'}"),
        (
            "frames",
            f"{coverage.frames_decoded} decoded, {coverage.frames_hashed} hashed, "
            f"{coverage.frames_flat} too flat, {coverage.frames_failed} failed",
        ),
        ("largest gap", f"{coverage.largest_gap_ms / 1000:.2f} s"),
        *promised(coverage).items(),
        ("looked", plain(screening.look_version) or "not known by what"),
    ):
        rows.add_row(name, value)
    stdout.print(rows)


@app.command("repeat")
def repeat(
    context: typer.Context,
    screening_id: Annotated[str, typer.Argument(metavar="ID")],
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    data: Data = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Look at a file as a stored screening did, and tell whether it saw the same.

    Reads the database itself, for the secret seed that frames were chosen by, and may run beside
    servers. FILE is decoded in a confined process, within the limits that the environment sets;
    nothing is stored. Exit code 1 if other frames were looked at, or if FILE is another file.
    """
    shared = options.of(context, None, as_json)
    try:
        found = _repeated(screening_id, file, {"data": data, "database": database})
    except (HashmatchError, OSError) as error:
        about = {"file": str(file)} if isinstance(error, OSError) else {}
        failed(error, shared, **about)
        raise typer.Exit(1) from None
    same = not found.problem and found.same_frames
    coverage = found.coverage
    if shared.json:
        came = {
            "same_frames": found.same_frames,
            "same_hashes": found.same_hashes,
            "same_look": found.same_look,
            "frames": {"decoded": coverage.frames_decoded, "hashed": coverage.frames_hashed},
        }
        told = {"problem": found.problem} if found.problem else came
        print_json({"screening_id": screening_id, "file": str(file), **told})
    else:
        frames_now = f"{coverage.frames_decoded} frames decoded, {coverage.frames_hashed} hashed"
        hashes = "the same hashes" if found.same_hashes else "other hashes"
        what = f"{'the same' if same else 'other'} frames, {hashes}: now {frames_now}"
        if not found.problem and not found.same_look:
            what += "; by other software than then, which may rightly see others"
        line = Text("ok    " if same else "amiss ", style="green" if same else "bold red")
        stdout.print(line.append(found.problem or what, style="default"), soft_wrap=True)
    if not same:
        raise typer.Exit(1)


def _repeated(screening_id: str, file: Path, given: dict[str, Any]) -> Any:
    settings = options.server_part("config").load(**given)
    with stderr.status(f"looking at {plain(file.name)}"):
        return asyncio.run(options.server_part("app").repeat(settings, screening_id, file))


@app.command("list")
def list_(
    context: typer.Context,
    server: Server = None,
    as_json: AsJson = False,
    verdict: Annotated[
        str | None, typer.Option(help="Only NO_MATCH, REVIEW, BLOCK or INCONCLUSIVE.")
    ] = None,
    since: Since = None,
    limit: Limit = 100,
    after: After = "",
) -> None:
    """List screenings, newest first."""
    shared = options.of(context, server, as_json)
    wanted = None if verdict is None else options.named(Verdict, verdict)
    instant, cursor = options.since_instant(since), Cursor(after, limit)
    rows = table("SCREENING", "VERDICT", "WHY", "WHEN (UTC)")
    with options.connected(shared) as client:
        screenings = client.list_screenings(verdict=wanted, since=instant, cursor=cursor)
        for screening in listed(screenings, "screenings", cursor, shared):
            if shared.json:
                print_json({"screening": message_json(screening_to_wire(screening))})
            else:
                rows.add_row(
                    screening.screening_id,
                    screening.verdict.name,
                    screening.reasons[0].code.name,
                    f"{screening.create_time:%m-%d %H:%M:%S}",
                )
    if not shared.json:
        stdout.print(rows)
