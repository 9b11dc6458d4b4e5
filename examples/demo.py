"""The whole way of an upload, on a machine of one's own: ``make demo``.

Starts a server on an empty folder, puts a clip on its blocklist, and screens clips as an upload
pipeline would: through `hashmatch.client`, over gRPC. Exits with 0 only if each gets the verdict
that it should.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fixtures.clips import CLIPS, small_copy
from hashmatch.client import Client
from hashmatch.model.callers import Role, new_token
from hashmatch.model.records import Screening
from hashmatch.model.verdicts import Action, Verdict

console = Console(width=80, highlight=False)

STYLES = {
    Verdict.NO_MATCH: "green",
    Verdict.REVIEW: "yellow",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.BLOCK: "bold red",
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A clip, what it is, and the verdict that it should get."""

    path: Path
    what: str
    expected: Verdict


@contextlib.contextmanager
def server(data: Path) -> Iterator[tuple[str, str]]:
    """A server on any free port of this machine, stopped at the end; gives its address and the
    first admin's token.
    """
    command = [sys.executable, "-m", "hashmatch", "serve", "--json"]
    with (data / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--data", str(data), "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"the server did not start:\n{(data / 'server.log').read_text()}")
            started = json.loads(line)
            yield started["listening"], started["first_token"]
        finally:
            process.terminate()
            process.wait()


def make_uploads(folder: Path) -> list[Upload]:
    """Clips made by script; the first is the one that goes on the blocklist."""
    listed, clean = folder / "listed.mp4", folder / "clean.mp4"
    CLIPS["pan_astronaut.mp4"](listed)
    CLIPS["pan_coffee.mp4"](clean)
    small_copy(listed, folder / "copy.mp4")
    cut = folder / "cut_short.mp4"
    cut.write_bytes(clean.read_bytes()[:100_000])
    return [
        Upload(listed, "the listed clip itself", Verdict.BLOCK),
        Upload(folder / "copy.mp4", "a copy: cropped, 144p, low rate", Verdict.BLOCK),
        Upload(clean, "another clip", Verdict.NO_MATCH),
        Upload(cut, "that clip, cut short", Verdict.INCONCLUSIVE),
    ]


def made_known(admin: Client, name: str, *roles: Role) -> str:
    """A new caller's token."""
    token = new_token()
    admin.create_caller(name, roles=roles, token=token)
    return token


def why(screening: Screening) -> str:
    """What the verdict rests on, in words."""
    shown = [
        f"{each.media_start_ms / 1000:.1f}-{each.media_end_ms / 1000:.1f} s shows "
        f"{each.entry_start_ms / 1000:.1f}-{each.entry_end_ms / 1000:.1f} s of "
        f"{evidence.entry.reference} ({evidence.distance} of {evidence.threshold} bits)"
        for evidence in screening.evidence
        for each in evidence.segments
    ]
    return "\n".join([*shown[:2]] or [screening.reasons[0].detail])


def main() -> int:
    """Runs the demo; 0 if all verdicts are right."""
    with tempfile.TemporaryDirectory(prefix="hashmatch-demo-") as name:
        folder = Path(name)
        console.print("making clips …", style="dim")
        uploads = make_uploads(folder)
        console.print("starting a server (the first start compiles its kernels) …", style="dim")
        with contextlib.ExitStack() as stack:
            address, first_token = stack.enter_context(server(folder))
            with Client(address, token=first_token) as admin:
                keeper = made_known(admin, "keeper", Role.ADMIN, Role.CURATOR)
                # A pipeline alone is told verdicts; here you want to see why.
                pipeline = made_known(admin, "pipeline", Role.PIPELINE, Role.REVIEWER)
            client = stack.enter_context(Client(address, token=keeper))
            bank = client.create_bank("demo", action=Action.BLOCK, label="stands in for abuse")
            entry = client.add_entry(bank.name, uploads[0].path, reference="listed.mp4")
            hashes = sum(each.count for each in entry.kinds)
            console.print(f"listed.mp4 is on the blocklist, by {hashes} hashes\n")
            client = stack.enter_context(Client(address, token=pipeline))
            table = Table("upload", "verdict", "why", "time", box=None, pad_edge=False)
            right = True
            for upload in uploads:
                began = time.monotonic()
                screening = client.screen(upload.path)
                elapsed = time.monotonic() - began
                right = right and screening.verdict is upload.expected
                table.add_row(
                    upload.what,
                    f"[{STYLES[screening.verdict]}]{screening.verdict.name}[/]",
                    why(screening),
                    f"{elapsed:.2f} s",
                )
            console.print(table)
    console.print("\nall verdicts are right" if right else "\n[bold red]a verdict is wrong[/]")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
