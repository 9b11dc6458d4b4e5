"""Hashes of whole files, as their bytes arrive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind

__all__ = ["ExactHasher"]

_ALGORITHMS = {Kind.SHA256: "sha256", Kind.SHA1: "sha1", Kind.MD5: "md5"}


class ExactHasher:
    """SHA-256 always (it names the media), the others where a bank uses them."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        """``kinds`` may hold perceptual ones; they are left to others."""
        wanted = {Kind.SHA256, *kinds}
        self._hashers = {
            kind: hashlib.new(name, usedforsecurity=False)
            for kind, name in _ALGORITHMS.items()
            if kind in wanted
        }

    def update(self, chunk: bytes | memoryview) -> None:
        """Takes the next bytes of the file. Releases the GIL while it hashes."""
        for hasher in self._hashers.values():
            hasher.update(chunk)

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the bytes so far."""
        return self._hashers[Kind.SHA256].digest()

    def signals(self) -> list[Signals]:
        """One `Signals` of one digest for each kind, of the bytes so far."""
        return [Signals.of_file(kind, hasher.digest()) for kind, hasher in self._hashers.items()]
