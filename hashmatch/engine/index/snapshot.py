"""Files of snapshots, so that a server need not make its index anew each time it starts.

A file is a preamble, the columns of the index as they are in memory (each at a multiple of 4096
bytes, so that they can be mapped), and a header in JSON that says what they are. The preamble is
written last: a file that was not finished has none. All numbers are little-endian.

Preamble: ``hashmtch``; the format, uint32; CRC-32 of the rest of the preamble, uint32; where the
header begins, its length and the length of the file, uint64 each; CRC-32 of the header, uint32.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.bands import Bands
from hashmatch.engine.index.live import Snapshot, Table
from hashmatch.engine.index.segment import Segment
from hashmatch.errors import SnapshotUnusable
from hashmatch.model.verdicts import Kind

__all__ = ["FORMAT", "load", "save"]

FORMAT: Final = 3  # 2: with the places of squares; 3: with flat hashes.

_FORMATS: Final = (1, 2, FORMAT)

_MAGIC: Final = b"hashmtch"
_START: Final = struct.Struct("<8sII")
_REST: Final = struct.Struct("<QQQI")
_PAGE: Final = 4096
_AT_ONCE: Final = 16 << 20

# Of columns. Others would have searches compiled anew, or are numbers that the store does not have.
_DTYPES: Final = ("|u1", "<u2", "<u4", "<u8", "|i1", "<i2", "<i4", "<i8")

Column = npt.NDArray[Any]


def save(path: Path, store_id: str, snapshot: Snapshot) -> bool:
    """Writes the file whole or not at all; ``store_id`` names the store that it was made of.

    Banks are not part of it. False if another process is about to write the same file. Raises
    ``OSError``, e.g. if the disk is full; then what was there before is still there.
    """
    making = path.with_name(f"{path.name}.making")
    with making.open("ab") as file:
        making.chmod(0o600)  # It holds hashes.
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            with making.open("r+b") as target:
                target.truncate(0)
                _write(target, store_id, snapshot)
            making.rename(path)
        except BaseException:
            making.unlink(missing_ok=True)
            raise
    _sync(path.parent)
    return True


def load(path: Path, store_id: str) -> Snapshot:
    """What was saved, without banks. Its columns are mapped: pages that are not searched take no
    memory, and servers on one machine share them.

    Raises `SnapshotUnusable`, which says why, if it is not whole or of another store or format;
    ``FileNotFoundError`` if it is not there.
    """
    mapped = _mapped(path)
    try:
        header = _header(mapped)
        if header["store"] != store_id:
            raise SnapshotUnusable("the index file is of another store")
        return _snapshot(_Columns(mapped, header["columns"]), header)
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise SnapshotUnusable(
            f"the index file does not hold together ({type(error).__name__})"
        ) from error


def _write(target: BinaryIO, store_id: str, snapshot: Snapshot) -> None:
    columns: list[dict[str, Any]] = []

    def put(column: Column) -> int:
        column = np.ascontiguousarray(column, column.dtype.newbyteorder("<"))
        at = -(-target.tell() // _PAGE) * _PAGE
        target.seek(at)
        check = 0
        for part in _parts(column.reshape(-1).view(np.uint8)):
            check = zlib.crc32(part.data, check)
            target.write(part.data)
        what = {"dtype": column.dtype.str, "shape": column.shape, "at": at, "crc32": check}
        columns.append(what)
        return len(columns) - 1

    target.seek(_PAGE)
    header = {
        "store": store_id,
        "revision": snapshot.revision,
        "entries": list(snapshot.entries.items()),
        "tables": [
            {"kind": kind.name, **_put_table(put, table)} for kind, table in snapshot.tables.items()
        ],
        "flat": _put_table(put, snapshot.flat),
        "columns": columns,
    }
    encoded = json.dumps(header).encode()
    at = target.tell()
    target.write(encoded)
    rest = _REST.pack(at, len(encoded), at + len(encoded), zlib.crc32(encoded))
    target.flush()
    os.fsync(target.fileno())  # Before the preamble is there, all else is.
    target.seek(0)
    target.write(_START.pack(_MAGIC, FORMAT, zlib.crc32(rest)) + rest)
    target.flush()
    os.fsync(target.fileno())


def _put_table(put: Any, table: Table) -> dict[str, Any]:
    return {
        "withdrawn": put(table.withdrawn),
        "withdrawn_rows": table.withdrawn_rows,
        "usage": list(table.usage.items()),
        "segments": [_put_segment(put, segment) for segment in table.segments],
    }


def _put_segment(put: Any, segment: Segment) -> dict[str, Any]:
    if segment.bands is None:
        rows = {"digests": put(segment.digests)}
    else:
        rows = {name: put(column) for name, column in segment.bands.columns().items()}
    return {
        **rows,
        "places": put(segment.places),
        "width": segment.digests.shape[1],
        "entry": put(segment.entry),
        "bank": put(segment.bank),
        "pts_ms": put(segment.pts_ms),
    }


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    if path.stat().st_size < _PAGE:
        raise SnapshotUnusable(f"the index file ends at byte {path.stat().st_size}")
    # A plain array over it: what is cut out of a memmap would drag its class along.
    return np.memmap(path, np.uint8, "r").view(np.ndarray)


def _header(mapped: npt.NDArray[np.uint8]) -> dict[str, Any]:
    magic, version, check = _START.unpack_from(mapped.data)
    if magic != _MAGIC:
        raise SnapshotUnusable("the index file has no preamble: it was not finished, or is no such")
    if version not in _FORMATS:
        raise SnapshotUnusable(f"the index file is of format {version}, {FORMAT} is known here")
    rest = mapped[_START.size : _START.size + _REST.size]
    if zlib.crc32(rest.data) != check:
        raise SnapshotUnusable("the preamble of the index file is damaged")
    at, length, size, header_check = _REST.unpack(rest.tobytes())
    if size != len(mapped) or at + length != size:
        raise SnapshotUnusable(f"the index file ends at byte {len(mapped)}, not {size}")
    encoded = mapped[at : at + length]
    if zlib.crc32(encoded.data) != header_check:
        raise SnapshotUnusable("the header of the index file is damaged")
    header: dict[str, Any] = json.loads(encoded.tobytes())
    return header


class _Columns:
    """Those of a file, each checked when it is asked for."""

    def __init__(self, mapped: npt.NDArray[np.uint8], columns: list[dict[str, Any]]) -> None:
        self._mapped, self._columns = mapped, columns

    def __getitem__(self, number: int) -> Column:
        what = self._columns[number]
        at, shape = _count(what["at"]), tuple(map(_count, what["shape"]))
        if what["dtype"] not in _DTYPES or at % _PAGE:
            raise ValueError("a column that is not as they are written")
        dtype = np.dtype(what["dtype"])
        column = self._mapped[at : at + dtype.itemsize * math.prod(shape)]
        check = 0
        for part in _parts(column):
            check = zlib.crc32(part.data, check)
        if check != what["crc32"]:
            raise SnapshotUnusable(f"the index file is damaged after byte {at}")
        shaped: Column = column.view(dtype).reshape(shape)
        return shaped


def _snapshot(columns: _Columns, header: Mapping[str, Any]) -> Snapshot:
    tables = {
        kind: _table(columns, each, kind)
        for each in header["tables"]
        for kind in (Kind[each["kind"]],)
    }
    made = Snapshot(_count(header["revision"]), {}, _counts(header["entries"]), tables)
    if "flat" not in header:
        return replace(made, lacks_flat=True)
    return replace(made, flat=_table(columns, header["flat"], Kind.PDQ))


def _table(columns: _Columns, what: Mapping[str, Any], kind: Kind) -> Table:
    withdrawn = columns[what["withdrawn"]]
    if withdrawn.dtype != np.int64 or withdrawn.ndim != 1 or not _rises(withdrawn):
        raise ValueError("withdrawn entries that are none")
    return Table(
        segments=tuple(_segment(columns, segment, kind) for segment in what["segments"]),
        withdrawn=withdrawn,
        withdrawn_rows=_count(what["withdrawn_rows"]),
        usage=_counts(what["usage"]),
    )


def _segment(columns: _Columns, what: Mapping[str, Any], kind: Kind) -> Segment:
    bands = None
    if "digests" in what:
        digests = columns[what["digests"]]
    else:
        names = ("words", "starts", "nexts", "rows")
        bands = Bands.from_columns({name: columns[what[name]] for name in names}, what["width"])
        digests = bands.digests
    entry, bank, pts_ms = (columns[what[name]] for name in ("entry", "bank", "pts_ms"))
    # Format 1 was of kinds that have none.
    places = columns[what["places"]] if "places" in what else np.empty((len(digests), 0), np.uint8)
    width = kind.hash_width
    shapes = (len(digests), width), (len(digests), kind.width - width)
    if {digests.dtype, places.dtype} != {np.dtype(np.uint8)} or shapes != (
        digests.shape,
        places.shape,
    ):
        raise ValueError("digests of another kind")
    for column in (entry, bank, pts_ms):
        if column.dtype == np.uint64 or column.shape != (len(digests),):
            raise ValueError("columns of other lengths, or of numbers that the store does not have")
    if not _rises(entry):
        raise ValueError("rows that are not in the order of their entries")
    return Segment(digests, places, entry, bank, pts_ms, bands)


def _rises(column: Column) -> bool:
    return not (column[1:] < column[:-1]).any()


def _counts(pairs: list[list[int]]) -> dict[int, int]:
    return {_count(one): _count(other) for one, other in pairs}


def _count(value: object) -> int:
    """JSON has other numbers too, and those that the store has end at 64 bits."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("not a count")
    return value


def _parts(data: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    for start in range(0, len(data), _AT_ONCE):
        yield data[start : start + _AT_ONCE]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
