"""Whoever probes with a pipeline's token learns verdicts, and nothing else."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest

from hashmatch.client import Client
from hashmatch.model.callers import Role, new_token
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Action, Kind, Part, Verdict
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.wire.signals import signals_to_wire
from tests.conftest import RunningServer, serving
from tests.support import TORTURE

PROBES = 100_000 if TORTURE else 800
AT_ONCE = 60
TICK_SECONDS = 0.1

Digest = npt.NDArray[np.uint8]
CALL = "/hashmatch.v1.ScreeningService/ScreenSignals"


@dataclass(frozen=True)
class Probe:
    """What was asked, and what came of it."""

    distance: int | None  # Of what is listed; None: of nothing that is.
    verdict: Verdict
    size: int
    fields: frozenset[str]
    seconds: float


def hashed(digest: Digest) -> Signals:
    """A frame's."""
    return Signals(
        Kind.PDQ,
        digest[None],
        np.array([100], np.uint8),
        np.zeros(1, np.int64),
        np.array([view_code(Part.FULL)], np.uint8),
    )


def near(digest: Digest, distance: int, rng: np.random.Generator) -> Digest:
    """So many bits away."""
    bits = np.unpackbits(digest)
    bits[rng.choice(256, distance, replace=False)] ^= 1
    return np.packbits(bits)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """It asks who calls."""
    with serving(tmp_path_factory.mktemp("probes"), unsafe_no_auth="false") as running:
        yield running


async def test_probes_learn_verdicts_alone(server: RunningServer) -> None:
    """Step by step a copy would be changed until it passes, or an entry be found out."""
    rng = np.random.default_rng(3)
    listed = rng.integers(0, 256, (2, 32), np.uint8)
    tokens = [new_token() for _ in range(3)]
    with Client(server.address, token=server.first_token) as admin:
        for name, role, token in zip(
            ("probes", "keeper", "auditor"),
            (Role.PIPELINE, Role.CURATOR, Role.AUDITOR),
            tokens,
            strict=True,
        ):
            admin.create_caller(name, roles=[role], token=token)
        for name, action in (("blocks", Action.BLOCK), ("holds", Action.REVIEW)):
            admin.create_bank(name, action=action, label=name, thresholds={Kind.PDQ: 31})
    with Client(server.address, token=tokens[1]) as keeper:
        for name, digest in zip(("blocks", "holds"), listed, strict=True):
            keeper.add_entry_from_signals(
                name, [signals_to_wire(hashed(digest))], reference=f"the reference of {name}" * 5
            )
    found: list[Probe] = []
    places = asyncio.Semaphore(AT_ONCE)

    async def probe(call: Any, number: int) -> None:
        distance = None if number % 3 == 0 else number // 3 % 64
        digest = (
            rng.integers(0, 256, 32, np.uint8)
            if distance is None
            else near(listed[number % 2], distance, rng)
        )
        request = pb.ScreenSignalsRequest(
            request_id=uuid.uuid4().hex, signals=[signals_to_wire(hashed(digest))]
        ).SerializeToString()
        async with places:
            began = time.monotonic()
            reply = await call(
                request, metadata=(("authorization", f"Bearer {tokens[0]}"),), timeout=60
            )
            seconds = time.monotonic() - began
        for secret in (b"blocks", b"holds", b"reference", digest.tobytes()):
            assert secret not in reply
        said = pb.ScreenSignalsResponse.FromString(reply).screening
        fields = frozenset(field.name for field, _ in said.ListFields())
        found.append(Probe(distance, Verdict(said.verdict), len(reply), fields, seconds))

    async with grpc.aio.insecure_channel(server.address) as channel:
        call: Any = channel.unary_unary(CALL)
        await asyncio.gather(*(probe(call, number) for number in range(PROBES)))
    assert len(found) == PROBES
    for each in found:
        matches = each.distance is not None and each.distance <= 31
        assert (each.verdict in (Verdict.BLOCK, Verdict.REVIEW)) == matches, each
    # All are equally large; those of one verdict have the same fields; none comes at once.
    assert len({each.size for each in found}) == 1
    for verdict in Verdict:
        assert len({each.fields for each in found if each.verdict is verdict}) <= 1
    assert min(each.seconds for each in found) >= TICK_SECONDS
    missed = [
        statistics.median(each.seconds for each in found if each.distance in distances)
        for distances in (range(32, 48), [None])
    ]
    print(f"median seconds of near misses and of others: {missed[0]:.4f}, {missed[1]:.4f}")
    # Somebody is told of it.
    with Client(server.address, token=tokens[2]) as auditor:
        rows = [row.action for row in auditor.list_audit_rows()]
        assert rows.count("probing_suspected") == 1
        (by,) = [row for row in auditor.list_audit_rows() if row.action == "probing_suspected"]
        assert by.subject.startswith("clr_")
