"""Versions of the hashes: raised whenever the same media would give another digest.

Hashes of different versions are never compared: a stored screening whose version is not the
present one is INCONCLUSIVE when it is confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hashmatch.model.verdicts import Kind

__all__ = ["HASH_VERSIONS"]

HASH_VERSIONS: Final[Mapping[Kind, str]] = {
    Kind.PDQ: "3",  # 2: what lies within a border is hashed too; 3: insets.
    Kind.PHASH: "1",
    Kind.SHA256: "1",
    Kind.SHA1: "1",
    Kind.MD5: "1",
    Kind.PDQ_PATCH: "2",  # 2: digests end in their places; spots of all cells.
}
