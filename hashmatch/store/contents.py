"""What a bank has: the hashes of its entries in 16 bytes each, to tell what is new in a list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["CONTENT_BYTES", "Contents", "content_of"]

CONTENT_BYTES: Final = 16

# Those that were added lately are looked for one by one, up to so many.
_RECENT: Final = 100_000


def content_of(hashes: Sequence[tuple[int, bytes]]) -> bytes:
    """What tells an entry's hashes, of (kind, digest) each, from any other's."""
    if len(hashes) == 1:
        kind, digest = hashes[0]
        return hashlib.blake2b(bytes((kind,)) + digest, digest_size=CONTENT_BYTES).digest()
    parts = sorted(bytes((kind,)) + digest for kind, digest in hashes)
    return hashlib.blake2b(b"".join(parts), digest_size=CONTENT_BYTES).digest()


class Contents:
    """Of one bank: 17 bytes an entry, and 100 for those that were added last."""

    def __init__(self, found: Iterable[Sequence[tuple[bytes, bool]]] = ()) -> None:
        """``found``: the contents of entries, some at once, and whether each is out of use."""
        joined, gone = [np.empty(0, np.uint8)], [np.empty(0, np.bool_)]
        for some in found:
            joined.append(np.frombuffer(b"".join(each for each, _ in some), np.uint8))
            gone.append(np.array([out for _, out in some], np.bool_))
        self._recent: set[bytes] = set()
        self._sort(np.concatenate(joined), np.concatenate(gone))

    def sorted_out(self, contents: Sequence[bytes]) -> tuple[list[int], int]:
        """The places of those that are new, each but once; and how many are of entries that are
        all out of use.
        """
        asked = np.frombuffer(b"".join(contents), ">u8").reshape(-1, 2)
        at = np.searchsorted(self._first, asked[:, 0])
        inside = np.minimum(at, max(0, len(self._first) - 1))
        here = np.zeros(len(asked), np.bool_)
        if len(self._first):
            here = (self._first[inside] == asked[:, 0]) & (self._second[inside] == asked[:, 1])
        gone = int((self._gone[inside[here]]).sum()) if here.any() else 0
        places, seen = [], set()
        for place in np.flatnonzero(~here).tolist():
            content = contents[place]
            if content not in self._recent and content not in seen:
                seen.add(content)
                places.append(place)
        return places, gone

    def add(self, contents: Iterable[bytes]) -> None:
        """Those that were new are in the bank now."""
        self._recent.update(contents)
        if len(self._recent) > _RECENT:
            mine = np.frombuffer(b"".join(self._recent), np.uint8)
            before = np.stack([self._first, self._second], axis=1).astype(">u8")
            gone = np.concatenate([self._gone, np.zeros(len(self._recent), np.bool_)])
            self._recent.clear()
            self._sort(np.concatenate([before.view(np.uint8).ravel(), mine]), gone)

    def _sort(self, joined: npt.NDArray[np.uint8], gone: npt.NDArray[np.bool_]) -> None:
        pairs = joined.view(">u8").reshape(-1, 2)
        # Of one content, an entry that is in use comes first: that is what is found.
        order = np.lexsort((gone, pairs[:, 1], pairs[:, 0]))
        self._first, self._second = pairs[order, 0], pairs[order, 1]
        self._gone = gone[order]
