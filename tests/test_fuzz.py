"""Crafted bytes end nothing: they are refused, or what is made of them is sound.

A moment of what ``python -m tests.fuzz`` does for hours, and all that it has found.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.__main__ import noting
from tests.fuzz.targets import TARGETS, mutated

KEPT = Path(__file__).parent / "data" / "fuzz"
FOUND = sorted(KEPT.glob("*/*"))

# One of an index file takes some ms, of all others a tenth of one.
MUTATIONS = {"snapshot": 400}


class Fault(Exception):
    """An error that nobody expects."""


def run_all(target: str, inputs: Iterable[bytes]) -> None:
    """Raises at the first fault."""
    for data in inputs:
        TARGETS[target].run(data)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_well_formed_is_no_fault(target: str) -> None:
    """Crafted bytes would be made of what is refused anyway."""
    seeds = TARGETS[target].seeds()
    assert len(set(seeds)) == len(seeds) > 1
    run_all(target, seeds)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_nearly_well_formed_is_no_fault(target: str) -> None:
    """Whoever sends crafted bytes could end a server or a client, or be taken at their word."""
    rng = random.Random(0)
    seeds = TARGETS[target].seeds()
    for _ in range(MUTATIONS.get(target, 1000)):
        data = rng.choice(seeds)
        for _ in range(rng.randrange(1, 4)):
            data = mutated(data, rng)
        TARGETS[target].run(data)


@pytest.mark.parametrize("path", FOUND, ids=[f"{path.parent.name}/{path.name}" for path in FOUND])
def test_what_was_found_once_is_no_fault_again(path: Path) -> None:
    """Crafted bytes that were a fault before would be one again."""
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("answers", "hashmatch.model.records.Coverage.__init__"),
        ("answers", "hashmatch.model.records.Bank.__init__"),
        ("answers", "hashmatch.wire.exports.view_code"),
        ("channel", "hashmatch.decoding.channel.lengths"),
        ("channel", "hashmatch.decoding.channel.unframe"),
        ("channel", "hashmatch.decoding.channel.parse_signals"),
        ("channel", "hashmatch.decoding.channel.parse_done"),
        ("credentials", "hashmatch.access.oidc.Issuer.caller"),
        ("credentials", "hashmatch.access.authorizer.hash_of_token"),
        ("lists", "hashmatch.lists.reader.kind_of"),
        ("lists", "hashmatch.lists.reader.quality_of"),
        ("lists", "hashmatch.lists.reader.view_of"),
        ("refusals", "hashmatch.errors.by_reason"),
        ("requests", "hashmatch.wire.signals.view_code"),
        ("requests", "hashmatch.server.grpc.fields.page_token"),
        ("requests", "hashmatch.server.grpc.fields.thresholds"),
        ("requests", "hashmatch.server.grpc.fields.position"),
        ("snapshot", "hashmatch.engine.index.snapshot._header"),
        ("snapshot", "hashmatch.engine.index.live.usable"),
        ("snapshot", "hashmatch.engine.index.bands.search"),
        ("tokens", "hashmatch.server.grpc.fields.page_token"),
        ("tokens", "hashmatch.store.changes.Position.from_token"),
    ],
)
def test_a_fault_is_noticed(target: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of crafted bytes would find nothing because nobody looked there."""

    def faulty(*given: Any, **named: Any) -> None:
        raise Fault

    seeds = TARGETS[target].seeds()
    monkeypatch.setattr(part, faulty)
    with pytest.raises(Fault):
        run_all(target, seeds)


def test_the_shortest_input_of_each_fault_is_kept(tmp_path: Path) -> None:
    """Who looks into a fault would have to look through kilobytes, or through one fault alone."""

    def run(data: bytes) -> None:
        if data.startswith(b"a"):
            raise KeyError(data)
        if data.startswith(b"b"):
            raise ValueError(data)

    noted = noting(run, tmp_path)
    for data in (b"no fault", b"aaa", b"aa", b"aaaa", b"bb"):
        noted(data)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"aa", b"bb"]
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {
        "KeyError",
        "ValueError",
    }
