"""Hashes of whole files: those of the standard library, however the bytes arrive."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.engine.hashing.exact import ExactHasher
from hashmatch.model.verdicts import Kind

EXACT = (Kind.SHA256, Kind.SHA1, Kind.MD5)


def digest(kind: Kind, data: bytes) -> bytes:
    """By the standard library."""
    return hashlib.new(kind.name.lower(), data, usedforsecurity=False).digest()


@given(st.sets(st.sampled_from(Kind)), st.lists(st.binary(max_size=200), max_size=5))
@settings(deadline=None)
def test_chunks_hash_as_the_whole_file_does(kinds: set[Kind], chunks: list[bytes]) -> None:
    """The very file of an entry would pass if it arrived in other pieces."""
    hasher = ExactHasher(kinds)
    for chunk in chunks:
        hasher.update(memoryview(chunk))
    data = b"".join(chunks)
    found = {each.kind: each.digests.tobytes() for each in hasher.signals()}
    # SHA-256 names the media, so it is there whether a bank uses it or not.
    wanted = {Kind.SHA256} | {kind for kind in kinds if kind.exact}
    assert found == {kind: digest(kind, data) for kind in wanted}
    assert hasher.sha256 == digest(Kind.SHA256, data)


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (Kind.SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (Kind.SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Kind.MD5, "900150983cd24fb0d6963f7d28e17f72"),
    ],
)
def test_published_vectors(kind: Kind, known: str) -> None:
    """A kind would be filled with the digests of another algorithm."""
    hasher = ExactHasher([kind])
    hasher.update(b"abc")
    (found,) = [each for each in hasher.signals() if each.kind is kind]
    assert found.digests.tobytes().hex() == known


def test_reading_the_digest_does_not_end_the_file() -> None:
    """A look at the hash so far would spoil the hash of the whole."""
    hasher = ExactHasher(EXACT)
    hasher.update(b"ab")
    assert hasher.sha256 == digest(Kind.SHA256, b"ab")
    hasher.update(b"c")
    assert hasher.sha256 == digest(Kind.SHA256, b"abc")
