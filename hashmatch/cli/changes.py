"""``hashmatch changes``: the changes of the blocklist."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Final

import typer

from hashmatch.cli.options import Since, opt
from hashmatch.cli.output import Output, message_json
from hashmatch.client import Client
from hashmatch.model.records import BlocklistChange, Checkpoint
from hashmatch.wire.records import watched_to_wire

__all__ = ["changes", "check"]

_RESUME: Final = "Instead of --after: continue after the change with this resume_token."
_FOLLOW: Final = "Continue with new changes, until Ctrl-C."


def check(after: int, resume: str, **_: Any) -> None:
    """Raises ``BadParameter`` where two options say where to begin."""
    if after and resume:
        raise typer.BadParameter("--after and --resume exclude each other")


def changes(
    out: Output,
    client: Client,
    after: Annotated[int, opt("Changes after this revision; 0: all.", min=0)] = 0,
    resume: Annotated[str, opt(_RESUME, metavar="TOKEN")] = "",
    since: Since = None,
    limit: Annotated[int, opt("The largest number of changes to print; 0: all.", min=0)] = 0,
    follow: Annotated[bool, opt(_FOLLOW, False, "--follow", "-f")] = False,
) -> None:
    """Show the changes of the blocklist, oldest first.

    With --json each comes with a resume_token to continue after it, and a checkpoint says that all
    changes up to its revision were printed.
    """
    printed = 0
    with contextlib.suppress(KeyboardInterrupt), out.progress.task("changes", limit) as update:
        for change in client.watch_changes(after, resume_token=resume):
            if isinstance(change, BlocklistChange):
                if since is not None and change.time < since:
                    continue
                printed += 1
                update(printed, None)
                _print(out, change)
            out.write(message_json(watched_to_wire(change)))
            if isinstance(change, Checkpoint) and not follow:
                return
            if limit and printed == limit:
                out.more(change.resume_token, "--resume")
                return


def _print(out: Output, change: BlocklistChange) -> None:
    head = f"{change.revision:>8}  {change.time:%Y-%m-%d %H:%M:%S}  "
    what = change.type.name.lower().replace("_", " ")
    if change.entry is not None:
        ref = change.entry.ref
        out.say(head, (what, "bold"), f" in {ref.bank_name}")
        out.say(f"          {ref.entry_id} {ref.reference}", style="dim")
    else:
        out.say(head, (what, "bold"), f" {change.bank.name}" if change.bank else "")
