"""What is new in a list is told from what a bank has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hashmatch.store import contents as module
from hashmatch.store.contents import CONTENT_BYTES, Contents, content_of
from tests.support import PATIENT

CONTENT = st.integers(0, 40).map(lambda seed: content_of([(1, bytes([seed]) * 32)]))


def test_the_order_of_hashes_does_not_matter() -> None:
    """The same picture comes again with its hashes in another order."""
    one, other = (1, b"a" * 32), (5, b"b" * 16)
    assert content_of([one, other]) == content_of([other, one])
    assert content_of([one]) != content_of([other]) != content_of([one, other])
    # A kind is a part of it: the bytes of one may be those of another.
    assert content_of([(1, b"a" * 32)]) != content_of([(3, b"a" * 32)])
    assert len(content_of([one])) == CONTENT_BYTES


@PATIENT
@given(
    bank=st.lists(st.tuples(CONTENT, st.booleans()), max_size=60),
    blocks=st.lists(st.lists(CONTENT, max_size=30), max_size=4),
    recent=st.integers(0, 20),
)
def test_sorted_out_as_one_by_one(
    bank: list[tuple[bytes, bool]], blocks: list[list[bytes]], recent: int
) -> None:
    """An entry would come twice, or what is new be left out."""
    used = {content for content, gone in bank if not gone}
    gone_too = {content for content, gone in bank if gone} - used
    halves = [bank[: len(bank) // 2], bank[len(bank) // 2 :]]
    before, module._RECENT = module._RECENT, recent  # type: ignore[misc]
    try:
        contents = Contents(halves)
        for block in blocks:
            places, gone = contents.sorted_out(block)
            expected, seen = [], set(used)
            for place, content in enumerate(block):
                if content not in seen and content not in gone_too:
                    seen.add(content)
                    expected.append(place)
            assert places == expected
            assert gone == sum(content in gone_too for content in block)
            contents.add(block[place] for place in places)
            used |= {block[place] for place in places}
    finally:
        module._RECENT = before  # type: ignore[misc]
