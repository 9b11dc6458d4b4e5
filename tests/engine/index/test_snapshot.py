"""Files of the index: what was saved is loaded, and nothing else is."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import os
import resource
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hashmatch.engine.index import snapshot as files
from hashmatch.engine.index.live import Snapshot
from hashmatch.errors import SnapshotUnusable
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from tests.conftest import ROOT
from tests.engine.index.test_live import as_flat, bank, compacted, many, rows, some_signals

KEPT = ROOT / "tests" / "data" / "index_files"
BANK = bank({kind: 0 if kind.exact else 8 for kind in Kind})


# What there was when the kept files were written, by their format.
KINDS = {
    1: (Kind.PDQ, Kind.PHASH, Kind.SHA256, Kind.SHA1, Kind.MD5),
    2: (Kind.PDQ, Kind.PHASH, Kind.SHA256, Kind.SHA1, Kind.MD5, Kind.PDQ_PATCH),
    3: (Kind.PDQ, Kind.PHASH, Kind.SHA256, Kind.SHA1, Kind.MD5, Kind.PDQ_PATCH),
}


def filled(entries: int = 300, kinds: Sequence[Kind] = tuple(Kind)) -> Snapshot:
    """Entries of all kinds, some withdrawn; with and without tables."""
    snapshot = Snapshot().with_bank(1, 1, BANK).with_bank(2, 2, BANK)
    if entries > 300:
        snapshot = snapshot.with_entries(2, 1, entries).with_signals(many(entries, 0, 1000))
        snapshot = compacted(snapshot)
    for seq in range(1, 301):
        signals = [some_signals(kind, 2, seq) for kind in kinds]
        snapshot = snapshot.with_entry(seq + 2, seq, 1 + seq % 2, signals)
    for seq in (3, 77, 300):
        snapshot = snapshot.without_entry(400 + seq, seq, 1 + seq % 2)
    return snapshot


def with_banks(snapshot: Snapshot) -> Snapshot:
    """As a server adds them."""
    for seq in (1, 2):
        snapshot = snapshot.with_bank(snapshot.revision, seq, BANK)
    return snapshot


def found(snapshot: Snapshot, query: Signals) -> list[tuple[int, ...]]:
    """All pairs."""
    matches = snapshot.search(query)
    columns = matches.entry, matches.bank, matches.entry_pts_ms, matches.distance
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def assert_same(one: Snapshot, other: Snapshot) -> None:
    """They find the same, and say the same of themselves."""
    assert one.revision == other.revision
    assert one.active_entries == other.active_entries
    assert one.kinds_to_search == other.kinds_to_search
    for kind in Kind:
        for seed in (1, 3, 77, 299):
            query = some_signals(kind, 2, seed)
            assert found(one, query) == found(other, query)
            if kind is Kind.PDQ and not one.lacks_flat:
                low = as_flat(query)
                assert rows(one.search_flat(low)) == rows(other.search_flat(low))
    assert found(one, some_signals(Kind.PDQ, 2, 1))


@pytest.mark.parametrize("entries", [300, 20_000])
def test_what_was_saved_is_loaded(tmp_path: Path, entries: int) -> None:
    """A server would find something else after it was started again."""
    snapshot = filled(entries)
    path = tmp_path / "index"
    assert files.save(path, "a store", snapshot)
    loaded = with_banks(files.load(path, "a store"))
    assert_same(loaded, snapshot)
    assert loaded.nbytes == snapshot.nbytes
    # And goes on from there.
    for both in (
        loaded.with_entry(900, 900, 1, [some_signals(Kind.PDQ, 2, 900)]).without_entry(901, 5, 2),
        compacted(loaded),
    ):
        assert files.save(path, "a store", both)
        assert_same(with_banks(files.load(path, "a store")), both)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["index"]


def test_an_empty_blocklist_is_saved_too(tmp_path: Path) -> None:
    """A new server would log an error each time it is started."""
    assert files.save(tmp_path / "index", "a store", Snapshot(revision=7))
    assert files.load(tmp_path / "index", "a store") == Snapshot(revision=7)


def test_the_index_of_another_store_is_refused(tmp_path: Path) -> None:
    """A server would accuse by entries that its blocklist does not have."""
    files.save(tmp_path / "index", "a store", filled())
    with pytest.raises(SnapshotUnusable, match="of another store"):
        files.load(tmp_path / "index", "another store")
    with pytest.raises(FileNotFoundError):
        files.load(tmp_path / "none", "a store")


def test_every_torn_file_is_refused(tmp_path: Path) -> None:
    """An entry that is no longer there would not be found."""
    path = tmp_path / "index"
    files.save(path, "a store", filled())
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in [0, 1, 100, 4095, 4096, len(whole) - 1, *rng.integers(1, len(whole), 40).tolist()]:
        path.write_bytes(whole[:size])
        with pytest.raises(SnapshotUnusable, match="index file"):
            files.load(path, "a store")
        # The disk may have kept the length and lost what was written.
        path.write_bytes(whole[:size] + bytes(len(whole) - size))
        if any(whole[size:]):
            with pytest.raises(SnapshotUnusable, match="index file"):
                files.load(path, "a store")
    path.write_bytes(whole + b"\0")
    with pytest.raises(SnapshotUnusable, match="index file ends at"):
        files.load(path, "a store")


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """A digest would become another, or memory be read where there is none."""
    path = tmp_path / "index"
    files.save(path, "a store", filled())
    whole = path.read_bytes()
    # Between what belongs to the file, nothing is read.
    header = whole[struct.unpack_from("<Q", whole, 16)[0] :]
    used = [(0, 44), (len(whole) - len(header), len(whole))]
    for column in json.loads(header)["columns"]:
        size = np.dtype(column["dtype"]).itemsize * int(np.prod(column["shape"]))
        used.append((column["at"], column["at"] + size))
    rng = np.random.default_rng(0)
    for begin, end in used:
        for place in rng.integers(begin, end, 3 if end > begin else 0):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            with pytest.raises(SnapshotUnusable, match="index file"):
                files.load(path, "a store")


def test_a_header_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A file that is whole, but was written by what is no hashmatch, would be searched."""
    path = tmp_path / "index"
    files.save(path, "a store", filled())
    whole = path.read_bytes()
    at, length, _, _ = struct.unpack_from("<QQQI", whole, 16)
    header = json.loads(whole[at : at + length])
    for change in (
        {"tables": [{"kind": "NO_KIND"}]},
        {"columns": header["columns"][:3]},
        {"columns": [{**each, "dtype": "<f3"} for each in header["columns"]]},
        {"tables": None},
    ):
        encoded = json.dumps({**header, **change}).encode()
        rest = struct.pack("<QQQI", at, len(encoded), at + len(encoded), zlib.crc32(encoded))
        start = struct.pack("<8sII", b"hashmtch", files.FORMAT, zlib.crc32(rest))
        path.write_bytes(start + rest + whole[len(start + rest) : at] + encoded)
        with pytest.raises(SnapshotUnusable, match="index file"):
            files.load(path, "a store")


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    """After an upgrade was taken back, a server would read what it does not understand."""
    path = tmp_path / "index"
    files.save(path, "a store", filled())
    whole = bytearray(path.read_bytes())
    struct.pack_into("<I", whole, 8, files.FORMAT + 1)
    path.write_bytes(whole)
    with pytest.raises(SnapshotUnusable, match=f"format {files.FORMAT + 1}, {files.FORMAT} is"):
        files.load(path, "a store")


@pytest.mark.parametrize("version", range(1, files.FORMAT + 1))
def test_files_of_every_format_are_loaded(version: int, tmp_path: Path) -> None:
    """An upgrade would have every server make its index anew, all at once."""
    path = tmp_path / "index"
    path.write_bytes(gzip.decompress((KEPT / f"format_{version}.gz").read_bytes()))
    loaded = with_banks(files.load(path, "a store"))
    assert loaded.tables[Kind.PDQ].segments[0].bands is not None
    assert loaded.lacks_flat == (version < 3)
    assert_same(loaded, filled(320, KINDS[version]))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """The index of before would be lost, and half of one stay for ever."""
    path = tmp_path / "index"
    files.save(path, "a store", filled())
    before = path.read_bytes()
    made = filled(20_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores SIGXFSZ: what a larger file is refused with is an error, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.save(path, "a store", made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["index"]


def test_what_a_killed_server_left_is_no_hindrance(tmp_path: Path) -> None:
    """No index would ever be saved again."""
    (tmp_path / "index.making").write_bytes(b"half" * 10_000)
    assert files.save(tmp_path / "index", "a store", filled())
    assert_same(with_banks(files.load(tmp_path / "index", "a store")), filled())


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    """Two servers that start on one machine would write into one file."""
    with (tmp_path / "index.making").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not files.save(tmp_path / "index", "a store", filled())
    assert not (tmp_path / "index").exists()


def test_a_loaded_index_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    """Ten servers on a machine would hold ten million entries ten times."""
    path = tmp_path / "index"
    files.save(path, "a store", filled(20_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = [files.load(path, "a store") for _ in range(20)]
    held = sum(int(line.split()[1]) for line in _smaps() if line.startswith("Private_"))
    assert len(kept) == 20
    assert path.stat().st_size > 5_000_000
    assert held < 5_000
    assert before


def _smaps() -> list[str]:
    """What the kernel says of this process's memory that files named "index" are mapped to."""
    lines, ours = [], False
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{os.getpid()}/smaps").read_text().splitlines():
            if "-" in line.split(maxsplit=1)[0]:
                ours = line.endswith("/index")
            elif ours:
                lines.append(line)
    return lines
