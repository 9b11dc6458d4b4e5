"""What the documents say can be done, done."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs import settings
from hashmatch import errors
from hashmatch.client import Client
from hashmatch.config import Settings
from hashmatch.errors import BankExists
from hashmatch.model.callers import Role, new_token
from hashmatch.model.records import DEFAULT_THRESHOLDS, BankPolicy
from hashmatch.model.verdicts import Action, Kind, Verdict, VerdictReason
from tests.commands import run
from tests.conftest import ROOT, RunningServer, serving

README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
BIN = Path(sys.executable).parent

# What reads variables of clients.
CLIENTS = (ROOT / "hashmatch" / "client" / "_channel.py").read_text()


def commands(text: str) -> list[str]:
    """The commands in the console blocks of a page."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def try_it(command: str, running: RunningServer, token: str) -> None:
    """Runs a command of a page in the current folder, for a server; it succeeds, and fits a
    terminal.
    """
    program, *arguments = shlex.split(command)
    assert program == "hashmatch"
    variables = {"HASHMATCH_DATA": str(running.data)}
    run(*arguments, server=running.address, token=token, variables=variables)


@dataclass(frozen=True)
class Newcomer:
    """A server, and the token of a caller that has every role."""

    server: RunningServer
    token: str


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """One server for the commands of all pages."""
    with serving(tmp_path_factory.mktemp("pages"), unsafe_no_auth="false", workers="1") as running:
        token = new_token()
        with Client(running.address, token=running.first_token) as admin:
            admin.create_caller("newcomer", roles=list(Role), token=token)
        yield Newcomer(running, token)


def test_the_commands_of_the_readme_work_in_order(
    newcomer: Newcomer, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newcomer's first command would fail."""
    (tmp_path / "clip.mp4").write_bytes((media / "clips" / "pan_astronaut.mp4").read_bytes())
    (tmp_path / "other.mp4").write_bytes((media / "clips" / "pan_coffee.mp4").read_bytes())
    (tmp_path / "upload.mp4").write_bytes((media / "clips" / "pan_chelsea.mp4").read_bytes())
    listed = "".join(f"{seed:02x}".rjust(64, "7") + ",pdq\n" for seed in range(3))
    (tmp_path / "partner.csv").write_text(f"hash,kind\n{listed}")
    monkeypatch.chdir(tmp_path)
    tried = 0
    for command in commands(README):
        # Installing is tried from the wheel (tests.wheel), serving by `serving` above.
        if command.startswith(("pip install", "export ")) or " serve " in command:
            continue
        try_it(command, newcomer.server, newcomer.token)
        tried += 1
    assert tried >= 5
    (python,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = python.replace("127.0.0.1:50051", newcomer.server.address)
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "HASHMATCH_TOKEN": newcomer.token},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("NO_MATCH"), done.stdout


def test_the_commands_for_operators_work(
    newcomer: Newcomer, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator would be told to type what is refused."""
    clean = tmp_path / "clean"
    clean.mkdir()
    for name in ("pan_astronaut.mp4", "pan_coffee.mp4", "pan_chelsea.mp4"):
        (clean / name).symlink_to(media / "clips" / name)
    monkeypatch.chdir(tmp_path)
    server, token = newcomer.server, newcomer.token
    with Client(server.address, token=token, timeout_seconds=60) as client:
        # Of the same name as the bank of the README, which may be there by now.
        with contextlib.suppress(BankExists):
            client.create_bank("known-abuse", action=Action.BLOCK, thresholds={Kind.PDQ: 31})
        screened = client.screen(clean / "pan_chelsea.mp4")
        these = f"{screened.screening_id} clean/pan_chelsea.mp4"
        tried = commands(OPERATING)
        assert len(tried) >= 2
        for command in tried:
            try_it(command.replace("ID FILE", these), server, token)
        wide = {**DEFAULT_THRESHOLDS, Kind.PDQ: 47}
        assert client.get_bank("known-abuse").thresholds == wide
        assert client.get_bank("partner-list").policy == BankPolicy(traffic_percent=10)
        assert client.get_bank("harmless").active_entries == 1


def test_the_serve_command_of_the_readme_is_understood(tmp_path: Path) -> None:
    """The operator's first command would fail."""
    (serve,) = [command for command in commands(README) if command.startswith("hashmatch serve")]
    options = re.findall(r"--(\w+)", serve)
    done = subprocess.run(
        [BIN / "hashmatch", "serve", "--help"], check=True, capture_output=True, text=True
    )
    assert options
    assert all(f"--{option}" in done.stdout for option in options)


def test_every_make_target_of_the_documents_exists() -> None:
    """A reader would be told to run what is not there."""
    makefile = (ROOT / "Makefile").read_text()
    pages = README + OPERATING + (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"(?:`|    )make ([a-z-]+)", pages))
    assert {"demo", "test", "serve", "bench", "protos"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_link_to_a_file_leads_somewhere() -> None:
    """A reader would follow a link to nothing."""
    folders = (ROOT, ROOT / "docs", ROOT / "deploy", ROOT / "fixtures")
    for page in [page for folder in folders for page in folder.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_setting_is_documented() -> None:
    """An operator would not know of a setting, or believe in one that is gone."""
    assert settings.PAGE.read_text() == settings.page()
    assert all(field.description for field in Settings.model_fields.values())
    deploy = "".join(path.read_text() for path in (ROOT / "deploy").iterdir())
    for name in re.findall(r"HASHMATCH_(\w+)", OPERATING + deploy):
        assert name.lower() in Settings.model_fields or f'"HASHMATCH_{name}"' in CLIENTS, name


def test_the_example_of_deployment_fits_the_server() -> None:
    """An operator would copy what does not end in time, or never gets ready."""
    kubernetes = (ROOT / "deploy" / "kubernetes.yaml").read_text()

    def number(pattern: str) -> int:
        (found,) = re.findall(pattern, kubernetes)
        return int(found)

    grace = number(r"terminationGracePeriodSeconds: (\d+)")
    sleep = number(r"sleep: {seconds: (\d+)}")
    assert grace > sleep + number(r'HASHMATCH_SHUTDOWN_SECONDS, value: "(\d+)"')
    disk = number(r'HASHMATCH_SPOOL_DISK_BYTES, value: "(\d+)"')
    assert disk < number(r"sizeLimit: (\d+)Gi") * 1024**3
    ports = set(re.findall(r"port(?:_value)?: (\d+)", kubernetes))
    ports |= set(re.findall(r"port_value: (\d+)", (ROOT / "deploy" / "envoy.yaml").read_text()))
    container = (ROOT / "deploy" / "Containerfile").read_text()
    (exposed,) = re.findall(r"EXPOSE (\d+)", container)
    assert ports == {exposed}
    assert f"HASHMATCH_LISTEN=[::]:{exposed}" in container
    # Its probes ask what the server tells: see tests/server/grpc/test_server.py.
    assert kubernetes.count(f"grpc: {{port: {exposed}}}") == 2


def test_reasons_that_the_documents_name_exist() -> None:
    """An operator would look for a reason that never comes."""
    known = (
        set(VerdictReason.__members__)
        | set(Verdict.__members__)
        | {leaf.reason for leaf in vars(errors).values() if hasattr(leaf, "reason")}
        | {"NOT_SERVING"}
    )
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", OPERATING)) - {"NUMBA_CACHE_DIR"}
    assert {name for name in named if not name.startswith("HASHMATCH_")} <= known
