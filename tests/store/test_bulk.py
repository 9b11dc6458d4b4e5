"""Columns of many entries. What becomes of them is in test_store_blocklist."""

from __future__ import annotations

import numpy as np
import pytest

from hashmatch.model.verdicts import Kind
from hashmatch.store.bulk import NewEntries
from tests.support import same_signals, signals


def test_entries_are_joined_kind_by_kind() -> None:
    """Hashes of one imported entry would be found under the name of another."""
    one, two = signals(1, 2), signals(2, 3)
    file = signals(3, 1, Kind.SHA256)
    made = NewEntries.joined([("a", "x", [one]), ("b", "", []), ("c", "y", [file, two])])
    assert (list(made.references), list(made.labels), len(made)) == (
        ["a", "b", "c"],
        ["x", "", "y"],
        3,
    )
    (frames, first), (files, first_file) = made.hashes
    assert first.tolist() == [0, 2, 2, 5]
    assert first_file.tolist() == [0, 0, 0, 1]
    assert same_signals([frames.select(np.arange(2))], [one])
    assert same_signals([frames.select(np.arange(2, 5))], [two])
    assert same_signals([files], [file])
    assert len(NewEntries.joined([])) == 0


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (1, [0, 1, 2]),
        (2, [0, 2]),
        (2, [0, 1, 3]),
        (2, [1, 1, 2]),
        (2, [0, 1, 1]),
        (2, [0, 3, 2]),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(labels: int, first: list[int]) -> None:
    """Likewise."""
    with pytest.raises(ValueError, match=r"entries"):
        NewEntries(["a", "b"], [""] * labels, [(signals(1, 2), np.array(first))])
