"""What releases stored is opened by this version: the same is read, and the same is found."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from hashmatch.v1 import common_pb2 as pb
from tests.conftest import serving
from tests.data.stored import FILES, FOLDER, judged, read

RELEASES = sorted((FOLDER / "stored").iterdir())


def test_there_is_data_of_releases() -> None:
    """Nothing would be tried if the files were lost."""
    assert [each.name for each in RELEASES][:1] == ["v0_1_0"]


def verdict(answer: str) -> tuple[int, list[int], list[tuple[str, int]]]:
    """One of `judged`: its verdict, the codes of its reasons, and which entries it matches how
    nearly.
    """
    screening = pb.Screening.FromString(bytes.fromhex(answer))
    reasons = [int(each.code) for each in screening.reasons]
    evidence = [(each.entry.entry_id, each.distance) for each in screening.evidence]
    return int(screening.verdict), reasons, evidence


@pytest.mark.parametrize("release", RELEASES, ids=lambda each: each.name)
def test_an_upgrade_changes_nothing_that_is_stored(release: Path, tmp_path: Path) -> None:
    """A server would not start after its upgrade, or judge by another blocklist than before it."""
    answers = json.loads(gzip.decompress((release / "answers.json.gz").read_bytes()))
    for name in FILES:
        (tmp_path / name).write_bytes(gzip.decompress((release / f"{name}.gz").read_bytes()))
    with serving(tmp_path) as server:
        assert read(server.address) == answers["read"]
        found = zip(judged(server.address), answers["judged"], strict=True)
    differing = [(verdict(now), verdict(then)) for now, then in found if now != then]
    for now, then in differing:
        # What an older version let pass is not confirmed without being looked at again.
        changed = pb.VERDICT_REASON_LOOK_VERSION_CHANGED
        if now[1] == [changed]:
            assert (now[0], then[0]) == (pb.VERDICT_INCONCLUSIVE, pb.VERDICT_NO_MATCH)
        elif now[1][-1:] == [changed]:
            assert (now[0], now[1][:-1], now[2]) == then
        else:
            assert now == then
    assert "index_file_unusable" not in server.log.read_text()
