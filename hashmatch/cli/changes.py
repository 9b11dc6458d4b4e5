"""The command that tells changes of the blocklist."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer
from rich.text import Text

from hashmatch.cli import options
from hashmatch.cli.options import AsJson, Server, Since
from hashmatch.cli.output import message_json, more, plain, print_json, stdout
from hashmatch.model.records import BlocklistChange, Checkpoint
from hashmatch.wire.records import watched_to_wire

__all__ = ["changes"]


def changes(
    context: typer.Context,
    after: Annotated[int, typer.Option(min=0, help="Only those after this revision.")] = 0,
    resume: Annotated[
        str, typer.Option(metavar="TOKEN", help="Instead: after what came with this token.")
    ] = "",
    since: Since = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0: all.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those to come, until Ctrl-C.")
    ] = False,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Tell the changes of the blocklist, oldest first.

    With --json each comes with a token to go on after it, and a checkpoint says that all was told.
    """
    shared = options.of(context, server, as_json)
    if after and resume:
        raise typer.BadParameter("--after and --resume exclude each other")
    instant, told_so_far = options.since_instant(since), 0
    with options.connected(shared) as client, contextlib.suppress(KeyboardInterrupt):
        for told in client.watch_changes(after, resume_token=resume):
            if isinstance(told, BlocklistChange):
                if instant is not None and told.time < instant:
                    continue
                told_so_far += 1
            if shared.json:
                print_json(message_json(watched_to_wire(told)))
            elif isinstance(told, BlocklistChange):
                stdout.print(_lines(told))
            if isinstance(told, Checkpoint) and not follow:
                return
            if limit and told_so_far == limit:
                more(shared, resume=told.resume_token)
                return


def _lines(change: BlocklistChange) -> Text:
    lines = Text(f"{change.revision:>8}  {change.time:%Y-%m-%d %H:%M:%S}  ")
    lines.append(change.type.name.lower().replace("_", " "), style="bold")
    if change.entry is not None:
        ref = change.entry.ref
        lines.append(plain(f" in {ref.bank_name}") + "\n          ")
        lines.append(plain(f"{ref.entry_id} {ref.reference}"), style="dim")
    elif change.bank is not None:
        lines.append(plain(f" {change.bank.name}"))
    return lines
