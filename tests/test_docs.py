"""What the documents say can be done, done."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs import settings
from hashmatch import errors
from hashmatch.client import Client
from hashmatch.config import Settings
from hashmatch.model.callers import Role, new_token
from hashmatch.model.records import DEFAULT_THRESHOLDS, BankPolicy
from hashmatch.model.verdicts import Action, Kind, Verdict, VerdictReason
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


def try_it(command: str, folder: Path, running: RunningServer, token: str = "") -> None:
    """Runs a command of a page in a folder, for a server; it succeeds, and fits a terminal."""
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HASHMATCH_SERVER": running.address,
        "HASHMATCH_DATA": str(running.data),
        "HASHMATCH_TOKEN": token,
    }
    done = subprocess.run(
        shlex.split(command),
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert all(len(line) <= 80 for line in done.stdout.splitlines()), done.stdout


def test_the_commands_of_the_readme_work_in_order(
    media: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The newcomer's first command would fail."""
    (tmp_path / "clip.mp4").write_bytes((media / "clips" / "pan_astronaut.mp4").read_bytes())
    (tmp_path / "other.mp4").write_bytes((media / "clips" / "pan_coffee.mp4").read_bytes())
    (tmp_path / "upload.mp4").write_bytes((media / "clips" / "pan_chelsea.mp4").read_bytes())
    listed = "".join(f"{seed:02x}".rjust(64, "7") + ",pdq\n" for seed in range(3))
    (tmp_path / "partner.csv").write_text(f"hash,kind\n{listed}")
    with serving(tmp_path_factory.mktemp("readme"), unsafe_no_auth="false") as running:
        # Who reads all of it in one go is all of them at once.
        token = new_token()
        with Client(running.address, token=running.first_token) as admin:
            admin.create_caller("newcomer", roles=list(Role), token=token)
        tried = 0
        for command in commands(README):
            # Installing is tried from the wheel (tests.wheel), serving by `serving` above.
            if command.startswith(("pip install", "export ")) or " serve " in command:
                continue
            try_it(command, tmp_path, running, token)
            tried += 1
        assert tried >= 5
        (python,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        code = python.replace("127.0.0.1:50051", running.address)
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            cwd=tmp_path,
            env={**os.environ, "HASHMATCH_TOKEN": token},
            capture_output=True,
            text=True,
        )
        assert done.stdout.startswith("NO_MATCH"), done.stdout


def test_the_commands_for_operators_work(
    media: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An operator would be told to type what is refused."""
    clean = tmp_path / "clean"
    clean.mkdir()
    for name in ("pan_astronaut.mp4", "pan_coffee.mp4", "pan_chelsea.mp4"):
        (clean / name).symlink_to(media / "clips" / name)
    with serving(tmp_path_factory.mktemp("operating")) as running:
        with Client(running.address) as client:
            client.create_bank("known-abuse", action=Action.BLOCK, thresholds={Kind.PDQ: 31})
            screened = client.screen(clean / "pan_chelsea.mp4")
        these = f"{screened.screening_id} clean/pan_chelsea.mp4"
        tried = commands(OPERATING)
        assert len(tried) >= 2
        for command in tried:
            try_it(command.replace("ID FILE", these), tmp_path, running)
        with Client(running.address) as client:
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
