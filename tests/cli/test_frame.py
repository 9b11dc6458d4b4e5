"""What all commands have in common, tried with every one of them, without a server."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from hashmatch import cli
from hashmatch.cli import command, doctor, output, progress
from hashmatch.cli.command import ExitCode
from tests.cli.commands import (
    ASKING,
    HOSTILE,
    LOCAL,
    SHOWN,
    FakeAsyncClient,
    FakeClient,
    run,
    walked,
)


@pytest.fixture(autouse=True)
def _clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "Client", FakeClient)
    monkeypatch.setattr(command, "AsyncClient", FakeAsyncClient)
    monkeypatch.setattr(doctor, "Client", FakeClient)


def given(path: str, folder: Path) -> list[str]:
    """A command with its arguments."""
    file = folder / HOSTILE.replace("/", "-")
    file.write_bytes(b"no media")
    arguments = {**ASKING, **LOCAL}[path]
    return [*path.split(), *(each.replace("FILE", str(file)) for each in arguments)]


def test_every_command_is_known_to_these_tests() -> None:
    """A new command could print what nobody has looked at."""
    assert sorted([*ASKING, *LOCAL]) == sorted(walked(leaves=True))


@pytest.mark.parametrize("path", walked(leaves=False))
def test_every_command_explains_itself(path: str) -> None:
    """Somebody who does not know an option would have to read the code."""
    for flag in ("--help", "-h"):
        done = run(*path.split(), flag)
        assert done.code == ExitCode.DONE
        assert "Usage: " in done.out
        assert max(map(len, done.out.splitlines())) <= 80


def test_every_option_says_what_it_does() -> None:
    """A newcomer would have to guess."""

    def walk(command: Any) -> None:
        for each in command.params:
            assert len((each.help or "").split()) >= 2, (command.name, each.name)
            assert "[default" not in each.help  # Taken for markup, and not shown.
        for below in getattr(command, "commands", {}).values():
            walk(below)

    walk(typer.main.get_command(cli.app))
    assert "[default: (127.0.0.1:50051)]" in run("serve", "--help", columns=200).out


@pytest.mark.parametrize("path", [*ASKING, *LOCAL])
def test_every_text_is_shown_as_it_is(path: str, tmp_path: Path) -> None:
    """A label, a reference, a name or a file of others could clear the screen, fake a verdict, or
    end a list.
    """
    arguments = given(path, tmp_path)
    wide, narrow = run(*arguments, columns=1000), run(*arguments)
    for done in (wide, narrow):
        shown = done.out + done.err
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
        assert "💀" not in shown
    assert max(map(len, narrow.out.splitlines()), default=0) <= 80
    # A path has no two slashes side by side, and a name of a file none.
    forms = (SHOWN, SHOWN.replace("//", "/"), SHOWN.replace("/", "-"))
    if path in ASKING or path in ("hash", "storyboard", "calibrate"):
        assert any(each in wide.out + wide.err for each in forms)


@pytest.mark.parametrize("path", [*ASKING, *LOCAL])
def test_every_command_prints_json_of_one_form(path: str, tmp_path: Path) -> None:
    """A program would need a parser for each command."""
    done = run(*given(path, tmp_path), "--json")
    assert done.err == ""
    for line in done.out.splitlines():
        assert line.isascii()
        for name in _names(json.loads(line)):
            assert name == name.lower() or name == HOSTILE, name


def _names(value: Any) -> list[str]:
    if isinstance(value, dict):
        # The kinds of hashes, by which versions and counts are told, are values.
        return [each for each in value if not each.startswith(("KIND_", "PDQ"))] + [
            name for each in value.values() for name in _names(each)
        ]
    return [name for each in value for name in _names(each)] if isinstance(value, list) else []


@pytest.mark.parametrize("path", ASKING)
def test_every_command_that_asks_ends_with_0_1_or_2(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script could not tell what was done from what was not, or from a typing error."""
    failing = {"import add": ExitCode.FAILED}  # Its list has an invalid line.
    arguments = given(path, tmp_path)
    assert run(*arguments).code == failing.get(path, ExitCode.DONE)
    assert run(*arguments, "--nonsense").code == ExitCode.USAGE
    for fake in (FakeClient, FakeAsyncClient):
        monkeypatch.setattr(fake, "ready", False)
    away = run(*arguments, "--json")
    assert away.code == ExitCode.FAILED
    if path != "doctor":
        assert away.object["error"]["reason"] == "UNREACHABLE"


@pytest.mark.parametrize("path", LOCAL)
def test_every_other_command_ends_with_1_or_2(path: str, tmp_path: Path) -> None:
    """Likewise, without a server."""
    arguments = given(path, tmp_path)
    done = run(*arguments, "--json")
    assert done.code == ExitCode.FAILED
    assert done.object["error"]["message"]
    assert run(*arguments, "--nonsense").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("flags", "terminal", "shown"),
    [([], True, True), (["--quiet"], True, False), (["--json"], True, False), ([], False, False)],
)
def test_what_takes_long_says_so_on_a_terminal(
    flags: list[str], terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits would take it for stuck; or a log would fill with its dots."""
    written = io.StringIO()

    class Slow(FakeClient):
        def answer(self, kind: Any) -> Any:
            until = time.monotonic() + (60 if shown else 0.2)
            while "bank show" not in written.getvalue() and time.monotonic() < until:
                time.sleep(0.01)
            return super().answer(kind)

    monkeypatch.setattr(command, "Client", Slow)
    monkeypatch.setattr(progress, "LATE_SECONDS", 0.05)
    monkeypatch.setattr(output, "stderr", Console(file=written, force_terminal=terminal))
    done = run("bank", "show", "a-bank", *flags)
    assert ("bank show" in written.getvalue()) is shown
    assert "bank show" not in done.out
    assert "a-bank" not in written.getvalue()
    assert "review" in done.out  # The answer goes where stdout goes, also beside a bar.


def test_a_line_is_not_written_into_a_bar() -> None:
    """An answer would be torn by what is shown while it comes, or be lost with it."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80)
    bars = progress.Progress(console, enabled=True, late_seconds=0.01)
    with bars.running("a command"), bars.task("a file", 3_000_000, in_bytes=True) as update:
        update(1_000_000, None)
        while "1.0/3.0 MB" not in written.getvalue():
            time.sleep(0.01)
        bars.hide()
        hidden = written.getvalue()
    assert "a file" in hidden
    assert "a command" not in hidden
    assert hidden.endswith(("\x1b[2K", "\x1b[?25h"))
