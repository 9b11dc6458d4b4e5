"""What a server tells Prometheus."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hashmatch.client import Client
from hashmatch.errors import HashmatchError
from hashmatch.model.verdicts import Action, Verdict
from tests.conftest import RunningServer, serving
from tests.support import clip, image

Samples = dict[tuple[str, str], float]


def metrics_of(server: RunningServer) -> Samples:
    """Samples by their name and label, as Prometheus reads them."""
    told = [json.loads(line) for line in server.log.read_text().splitlines()]
    (address,) = [line["address"] for line in told if line["event"] == "metrics_served"]
    with urllib.request.urlopen(f"http://{address}/metrics") as response:
        text = response.read().decode()
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextlib.contextmanager
def observed(data: Path, **settings: str) -> Iterator[tuple[RunningServer, Client]]:
    """A server that tells metrics, and its client."""
    with (
        serving(data, metrics="127.0.0.1:0", workers="1", **settings) as server,
        Client(server.address) as client,
    ):
        yield server, client


def test_what_happens_is_counted(tmp_path: Path) -> None:
    """An operator would learn of an outage, or of a wave of misses, from the newspaper."""
    with observed(tmp_path) as (server, client):
        before = metrics_of(server)
        assert before["hashmatch_workers_confined", ""] == 1
        assert before["hashmatch_workers", ""] == 1
        assert before["hashmatch_blocklist_fresh", ""] == 1
        assert before["hashmatch_blocklist_revision", ""] == 0
        client.create_bank("bank", action=Action.BLOCK)
        client.add_entry("bank", image(1))
        assert client.screen(image(1)).verdict is Verdict.BLOCK
        assert client.screen(clip([2])).verdict is Verdict.NO_MATCH
        for _ in range(2):
            with pytest.raises(HashmatchError):
                client.get_screening("screening_00000000000000000000000000")
        after = metrics_of(server)
    assert after["hashmatch_screenings_total", "BLOCK"] == 1
    assert after["hashmatch_screenings_total", "NO_MATCH"] == 1
    assert after["hashmatch_screening_seconds_count", ""] == 2
    assert after["hashmatch_refusals_total", "SCREENING_NOT_FOUND"] == 2
    assert after["hashmatch_blocklist_revision", ""] == 2
    assert after["hashmatch_uploads", ""] == after["hashmatch_uploads_waiting", ""] == 0


def test_workers_that_are_not_confined_are_told(tmp_path: Path) -> None:
    """Somebody tries something out, and the service stays open to every crafted file."""
    with observed(tmp_path, unsafe_no_sandbox="true") as (server, _):
        assert metrics_of(server)["hashmatch_workers_confined", ""] == 0


def test_an_address_that_is_taken_is_said(tmp_path: Path) -> None:
    """The server would run unwatched, or die with a trace."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "hashmatch", "serve", "--listen", "127.0.0.1:0"],
            env={"HASHMATCH_METRICS": address, "HASHMATCH_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"metrics: cannot listen on {address}" in done.stdout + done.stderr
