"""``hashmatch screen`` and ``hashmatch screening …``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from hashmatch.cli.command import ExitCode, check_ready, command, naming
from hashmatch.cli.options import Page, Store, arg, choice, opt, server_part
from hashmatch.cli.output import Output
from hashmatch.cli.views import SCREENING, screening_lines
from hashmatch.client import AsyncClient, Client
from hashmatch.errors import HashmatchError, Unreachable
from hashmatch.model.records import Screening
from hashmatch.model.verdicts import Verdict

__all__ = ["app", "screen"]

app = typer.Typer(help="Screenings: the verdicts so far.", no_args_is_help=True)

_EXIT_CODE: Final = "Whether to exit with 10, 11 or 12 if a file is REVIEW, INCONCLUSIVE or BLOCK."

ScreeningId = Annotated[str, arg("Id of the screening.", "ID")]


async def screen(
    out: Output,
    client: AsyncClient,
    files: Annotated[list[str], arg("Videos and images; '-' is standard input.")],
    jobs: Annotated[int, opt("Number of files to send at a time.", min=1, max=256)] = 4,
    timeout: Annotated[float, opt("Seconds for each file.", min=0.1)] = 600.0,
    exit_code: Annotated[bool, opt(_EXIT_CODE)] = False,
) -> None:
    """Screen files: whether any of it matches the blocklist, and all of it was looked at.

    The answers come in the order of the files. Exit code 1 if one has none.
    """
    try:
        await check_ready(client)
    except Unreachable as error:
        # A script gets an answer for each file; a person needs to read it once.
        for about in [{"file": file} for file in files] if out.json else [{}]:
            out.failed(error, **about)
        return
    places = asyncio.Semaphore(jobs)

    async def one(file: str) -> Screening:
        async with places:
            media = sys.stdin.buffer if file == "-" else file
            return await client.screen(media, timeout_seconds=timeout)

    tasks = [asyncio.create_task(one(file)) for file in files]
    worst = ExitCode.DONE
    for file, task in out.counted([*zip(files, tasks, strict=True)], "screening"):
        try:
            screening = await task
        except (HashmatchError, OSError) as error:
            out.failed(error, file=file)
        else:
            out.write({"file": file, SCREENING.name: SCREENING.json(screening)})
            _print_lines(out, file, screening)
            if screening.verdict is not Verdict.NO_MATCH:
                worst = max(worst, ExitCode[screening.verdict.name])
    if exit_code and not out.code:
        out.code = worst


@command(app, "show")
def show(out: Output, client: Client, screening_id: ScreeningId) -> None:
    """Show one screening with its newest verdict."""
    _print(out, client.get_screening(screening_id))


@command(app, "confirm")
def confirm(out: Output, client: Client, screening_id: ScreeningId) -> None:
    """Judge a screening again by the blocklist as it is now, without its file."""
    _print(out, client.confirm(screening_id))


def _print_lines(out: Output, name: str, screening: Screening) -> None:
    for line in screening_lines(name, screening):
        out.say(*line)


def _print(out: Output, screening: Screening) -> None:
    _print_lines(out, screening.media.format or "media", screening)
    out.record(SCREENING, screening)
    if screening.evidence_withheld:
        out.say("  This caller sees verdicts only; a reviewer sees the rest.", style="dim")


@command(app, "repeat")
def repeat(
    out: Output,
    store: Store,
    screening_id: ScreeningId,
    file: Annotated[Path, arg("The file that was screened.", "FILE")],
) -> None:
    """Look at a file as a stored screening did, and say whether the same frames were seen.

    Reads the database itself, for the secret seed by which frames were chosen, and may run beside
    servers. FILE is decoded in a confined process, within the limits that the environment sets;
    nothing is stored. Exit code 1 if other frames were looked at, or if FILE is another file.
    """
    settings = store.settings()
    with naming(file), out.progress.task(file.name):
        found = asyncio.run(server_part("app").repeat(settings, screening_id, file))
    is_same = not found.problem and found.same_frames
    frames = {"decoded": found.coverage.frames_decoded, "hashed": found.coverage.frames_hashed}
    came = {name: getattr(found, name) for name in ("same_frames", "same_hashes", "same_look")}
    told = {"problem": found.problem} if found.problem else {**came, "frames": frames}
    out.write({"screening_id": screening_id, "file": str(file), **told})
    hashes = "the same hashes" if found.same_hashes else "other hashes"
    what = f"{'the same' if is_same else 'other'} frames, {hashes}: now "
    what += f"{frames['decoded']} frames decoded, {frames['hashed']} hashed"
    if not found.same_look:
        what += "; by other software than then, which may rightly see others"
    mark = ("ok    ", "green") if is_same else ("amiss ", "bold red")
    out.say(mark, found.problem or what, wrap=False)
    out.code = 0 if is_same else 1


@command(app, "list", examples=("screening list --verdict block --since 7d",))
def list_(
    out: Output,
    client: Client,
    page: Page,
    verdict: Annotated[Verdict | None, choice(Verdict, "Screenings of this verdict", "all")] = None,
) -> None:
    """List screenings, newest first."""
    found = client.list_screenings(verdict=verdict, since=page.since, cursor=page.cursor)
    out.rows(SCREENING, found, page.cursor)
