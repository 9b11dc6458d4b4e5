"""What a release stored and answered: ``python -m tests.data.stored``.

Run once for each version of pyproject.toml, right before it is released, as
`tests.data.release` is; what is written is never written again. Version 0.1.0 was released before
there was this file: it was copied into a checkout of commit 746f0ee and run there.
`tests.e2e.test_upgrade` has every later state of the code open what is written.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import tomllib
from pathlib import Path

import grpc
import numpy as np
from google.protobuf.message import Message

from hashmatch.client import Client
from hashmatch.model.cases import CaseDecision
from hashmatch.model.records import BankPolicy, Provenance
from hashmatch.model.verdicts import Action, Activation, BankMode, Category, Kind
from hashmatch.v1 import (
    blocklist_service_pb2,
    blocklist_service_pb2_grpc,
    common_pb2,
    review_service_pb2,
    review_service_pb2_grpc,
    screening_service_pb2,
    screening_service_pb2_grpc,
)
from tests.conftest import serving
from tests.support import image, reencoded, signals

FOLDER = Path(__file__).resolve().parent

# What a server keeps, beside its log.
FILES = ("hashmatch.db", "blocklist.index")

# Fields of a screening that another one of the same media has not.
_OF_THE_MOMENT = {
    "screening_id",
    "case_id",
    "create_time",
    "judge_time",
    "elapsed",
    "look_version",
}


def hashes(seed: int, count: int = 4, kind: Kind = Kind.PDQ) -> common_pb2.Signals:
    """Hashes of no media at all."""
    made = signals(seed, count, kind)
    return common_pb2.Signals(
        kind=common_pb2.Kind.Value(f"KIND_{kind.name}"),
        digests=made.digests.tobytes(),
        pts_ms=made.pts_ms.tolist(),
    )


def fill(client: Client) -> None:
    """Banks of all sorts, entries in all states, an import, screenings with every verdict, and
    cases.
    """
    client.create_bank("blocking", action=Action.BLOCK, label="a label")
    client.create_bank("reviewing", action=Action.REVIEW, activation=Activation.TWO_PERSON)
    client.create_bank("negative", action=Action.OVERRULE)
    shadow = BankPolicy(mode=BankMode.SHADOW, block_score=0)
    client.create_bank("shadow", action=Action.BLOCK, thresholds={Kind.PDQ: 31}, policy=shadow)
    client.create_bank("archived", action=Action.BLOCK)
    client.add_entry_from_signals("archived", [hashes(9)])
    client.archive_bank("archived")
    client.update_bank("shadow", label="tried out")
    source = Provenance("a hotline", "a law", Category.CSAM_A1, 3, "seen twice", "en")
    client.add_entry("blocking", image(1), reference="picture 1", provenance=source)
    client.add_entry_from_signals("blocking", [hashes(2), hashes(2, 1, Kind.SHA256)])
    withdrawn = client.add_entry_from_signals("blocking", [hashes(3)], reference="withdrawn")
    client.add_entry("negative", image(4))
    client.add_entry_from_signals("shadow", [hashes(5)])
    client.add_entry_from_signals("reviewing", [hashes(6)], reference="pending")
    listed = np.random.default_rng(7).integers(0, 256, (20, 32), np.uint8)
    lines = "".join(f"{digest.tobytes().hex()}\n" for digest in listed).encode()
    client.import_entries("blocking", lines + b"no hash\n", kind=Kind.PDQ, provenance=source)
    for media in (image(1), reencoded(1), image(4), image(8)):
        client.screen(media)
    for seed in (2, 3, 5, 6, 8):
        client.screen_signals([hashes(seed)], duration_ms=4000)
    reviewed = client.create_bank("reviewed", action=Action.REVIEW)
    client.add_entry_from_signals(reviewed.bank_id, [hashes(10)], reference="reviewed")
    for _ in range(2):
        client.screen_signals([hashes(10)], duration_ms=4000)
    case = next(iter(client.list_cases())).case_id
    client.decide_case(case, CaseDecision.UPHELD, why="it is the same")
    client.withdraw_entry(withdrawn.ref.entry_id, why="a mistake")


def read(address: str) -> dict[str, str]:
    """All that a server tells of what it stores, by the name of a list: messages in hexadecimal."""
    with grpc.insecure_channel(address) as channel:
        entries = blocklist_service_pb2_grpc.BlocklistServiceStub(channel)
        cases = review_service_pb2_grpc.ReviewServiceStub(channel)
        screenings = screening_service_pb2_grpc.ScreeningServiceStub(channel)
        told: dict[str, Message] = {
            "banks": entries.ListBanks(blocklist_service_pb2.ListBanksRequest()),
            "entries": entries.ListEntries(blocklist_service_pb2.ListEntriesRequest()),
            "imports": entries.ListImports(blocklist_service_pb2.ListImportsRequest()),
            "screenings": screenings.ListScreenings(screening_service_pb2.ListScreeningsRequest()),
            "cases": cases.ListCases(review_service_pb2.ListCasesRequest()),
        }
        changes = entries.WatchChanges(blocklist_service_pb2.WatchChangesRequest(after_revision=0))
        for number, change in enumerate(changes):
            if change.HasField("checkpoint"):
                break
            told[f"change {number}"] = change
        changes.cancel()
    return {
        name: message.SerializeToString(deterministic=True).hex() for name, message in told.items()
    }


def judged(address: str) -> list[str]:
    """What a server finds now: in all that it screened, and in other uploads and hashes. Messages
    in hexadecimal, without ids and times.
    """
    with Client(address, timeout_seconds=60) as client:
        found = [client.confirm(each.screening_id) for each in client.list_screenings()]
        found += [client.screen(media) for media in (image(1), reencoded(1), image(4), image(11))]
        for seed in (2, 3, 5, 6, 9, 10, 12):
            found.append(client.screen_signals([hashes(seed)], duration_ms=4000))
    told = []
    with grpc.insecure_channel(address) as channel:
        stub = screening_service_pb2_grpc.ScreeningServiceStub(channel)
        for each in found:
            request = screening_service_pb2.GetScreeningRequest(screening_id=each.screening_id)
            message = stub.GetScreening(request).screening
            for name in _OF_THE_MOMENT.intersection(message.DESCRIPTOR.fields_by_name):
                message.ClearField(name)  # type: ignore[arg-type]
            told.append(message.SerializeToString(deterministic=True).hex())
    return told


def main() -> None:
    """Writes the files and the answers of the present version."""
    version = tomllib.loads((FOLDER.parent.parent / "pyproject.toml").read_text())["project"]
    target = FOLDER / "stored" / f"v{version['version'].replace('.', '_')}"
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with serving(data) as server, Client(server.address, timeout_seconds=60) as client:
            fill(client)
            answers: dict[str, object] = {"read": read(server.address)}
        # The index is kept as it was at the first start: one of all that came is made.
        (data / "blocklist.index").unlink()
        with serving(data):
            pass
        for name in FILES:
            (target / f"{name}.gz").write_bytes(gzip.compress((data / name).read_bytes(), mtime=0))
        with serving(data) as server:
            answers["judged"] = judged(server.address)
    text = json.dumps(answers, indent=1)
    (target / "answers.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
