"""Searches in several threads."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pytest

from hashmatch.engine.index import parts
from hashmatch.engine.index.bits import Hits
from hashmatch.engine.index.parts import LEAST, in_parts

Words = npt.NDArray[np.uint64]


def queries(count: int) -> Words:
    """Each its own number."""
    return np.arange(count, dtype=np.uint64)[:, None]


def search(some: Words) -> Hits:
    """Query n finds n % 3 digests."""
    number = some[:, 0].astype(np.int64)
    counts = number % 3
    query = np.repeat(np.arange(len(some)), counts)
    return query, number[query] * 10, number[query] % 64


@pytest.fixture
def _helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three, however many processors there are."""
    monkeypatch.setattr(parts, "_free", threading.Semaphore(3))
    monkeypatch.setattr(parts, "_HELPERS", 3)
    parts._pool.cache_clear()


@pytest.mark.parametrize(
    "count", [0, 1, LEAST, 2 * LEAST - 1, 2 * LEAST, 3 * LEAST + 1, 4 * LEAST, 100 * LEAST]
)
@pytest.mark.usefixtures("_helpers")
def test_all_that_one_thread_finds_in_its_order(count: int) -> None:
    """A long video would be judged by a part of its frames."""
    for mine, expected in zip(
        in_parts(search, queries(count)), search(queries(count)), strict=True
    ):
        np.testing.assert_array_equal(mine, expected)


@pytest.mark.usefixtures("_helpers")
def test_no_search_waits_for_another() -> None:
    """Many long videos at once would wait for each other, or start threads without end."""
    sizes: list[int] = []
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(some: Words) -> Hits:
        sizes.append(len(some))
        begun.release()
        assert go_on.wait(30)
        return search(some)

    first = threading.Thread(target=in_parts, args=(slow, queries(3 * LEAST)))
    first.start()
    for _ in range(3):
        assert begun.acquire(timeout=30)
    assert sizes == [LEAST] * 3
    # One helper is left, then none.
    second = threading.Thread(target=in_parts, args=(slow, queries(9 * LEAST)))
    second.start()
    for _ in range(2):
        assert begun.acquire(timeout=30)
    assert in_parts(search, queries(9 * LEAST))[0][-1] == 9 * LEAST - 1
    go_on.set()
    first.join()
    second.join()
    assert sorted(sizes[3:]) == [9 * LEAST // 2] * 2
    assert parts._free._value == 3


@pytest.mark.usefixtures("_helpers")
def test_a_search_that_fails_gives_its_threads_back() -> None:
    """After some failures every search would have one thread for ever."""

    def broken(some: Words) -> Hits:
        raise MemoryError(f"{len(some)}")

    for _ in range(5):
        with pytest.raises(MemoryError):
            in_parts(broken, queries(4 * LEAST))
    assert parts._free._value == 3
