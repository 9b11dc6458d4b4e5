"""Lists are written as others read them, and as they are read here again."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import InvalidField
from hashmatch.lists.reader import Item, ListReader
from hashmatch.lists.writer import COLUMNS, HOLDS, ListWriter, Tally
from hashmatch.model.exports import ExportedEntry, Hash
from hashmatch.model.imports import Format
from hashmatch.model.records import Entry, EntryRef, KindCount, Provenance
from hashmatch.model.verdicts import EntryState, Kind, Part, Turn
from hashmatch.model.views import VIEWS, view_code
from tests.support import PATIENT

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
PDQ = bytes.fromhex("e2f1017837246bacc5dea21b648fbfd62f435c89db299a2497667e216c8d055c")
OTHER = bytes.fromhex("c0f113783f2468acc1de825b448fbfd66f434c89cb699a249776fe216c8d855c")
MD5 = bytes.fromhex("900150983cd24fb0d6963f7d28e17f72")
DAYS = 100 * 24 * 3600 * 1000


def entry(
    hashes: Sequence[Hash],
    number: int = 1,
    reference: str = "a film",
    label: str = "swords",
    state: EntryState = EntryState.ACTIVE,
) -> Entry:
    """With notes that are nobody else's business."""
    counts = [
        KindCount(kind, some, some)
        for kind in Kind
        if (some := sum(each.kind is kind for each in hashes))
    ]
    return Entry(
        EntryRef(f"ent_{number:026}", reference, label, "bnk_1", "a bank"),
        state,
        tuple(counts),
        0,
        7,
        NOW,
        NOW,
        provenance=Provenance(source="a secret source", note="a secret note"),
        proposed_by="clr_secret",
    )


def parts(made: Entry, hashes: Sequence[Hash], step: int = 3) -> list[ExportedEntry]:
    """An entry as a server tells it: a few hashes at a time."""
    starts = range(0, max(1, len(hashes)), step)
    return [
        ExportedEntry(made, hashes[start : start + step], start != starts[-1], "a token")
        for start in starts
    ]


def written(
    entries: Sequence[tuple[Entry, Sequence[Hash]]], form: Format, kinds: frozenset[Kind]
) -> tuple[list[str], Tally]:
    """The texts of the files, and what was counted."""
    writer = ListWriter(form, kinds)
    files, text = [], writer.begin()
    for made, hashes in entries:
        text += "".join(writer.add(part) for part in parts(made, hashes))
        if form is Format.VPDQ:
            files.append(text)
            text = ""
    text += writer.end()
    return files if form is Format.VPDQ else [text], writer.tally


# As documented by those whose formats they are


def test_vpdqs_text_is_as_vpdq_writes_it() -> None:
    """Frame, quality, hash, seconds: https://github.com/facebook/ThreatExchange/tree/main/vpdq,
    the first lines of sample-hashes/chair-19-sd-bar-128x128.txt.
    """
    hashes = [Hash(Kind.PDQ, PDQ), Hash(Kind.PDQ, OTHER, 100, 33), Hash(Kind.MD5, MD5)]
    third = bytes.fromhex("c0f10f783f2c78acc1dea25b748f3fd22f414d89c9a19b249776f621648d855c")
    hashes.append(Hash(Kind.PDQ, third, 100, 67))
    [text], _ = written([(entry(hashes), hashes)], Format.VPDQ, frozenset())
    assert text == (
        "0,100,e2f1017837246bacc5dea21b648fbfd62f435c89db299a2497667e216c8d055c,0.000\n"
        "1,100,c0f113783f2468acc1de825b448fbfd66f434c89cb699a249776fe216c8d855c,0.033\n"
        "2,100,c0f10f783f2c78acc1dea25b748f3fd22f414d89c9a19b249776f621648d855c,0.067\n"
    )


def test_threatexchanges_json_has_its_names() -> None:
    """Those of a ThreatDescriptor and its IndicatorType, in a list called "data":
    https://developers.facebook.com/docs/threat-exchange/reference/apis/threat-descriptor.
    """
    hashes = [Hash(Kind.PDQ, PDQ), Hash(Kind.MD5, MD5)]
    alone = [Hash(Kind.PDQ, OTHER)]
    [text], _ = written(
        [(entry(hashes), hashes), (entry(alone, 2, "", "", EntryState.PENDING), alone)],
        Format.THREATEXCHANGE,
        frozenset(),
    )
    row = {"status": "MALICIOUS", "description": "a film", "tags": ["swords"]}
    unknown = {"status": "UNKNOWN", "description": "", "tags": []}
    assert json.loads(text) == {
        "data": [
            {"indicator": PDQ.hex(), "type": "HASH_PDQ", "creation_time": 1767312000, **row},
            {"indicator": MD5.hex(), "type": "HASH_MD5", "creation_time": 1767312000, **row},
            {"indicator": OTHER.hex(), "type": "HASH_PDQ", "creation_time": 1767312000, **unknown},
        ]
    }
    assert len(text.splitlines()) == 5  # For people, and tools that read line by line.
    assert json.loads(ListWriter(Format.THREATEXCHANGE).begin() + "\n]}") == {"data": []}


def test_csv_and_json_lines_are_as_our_pages_say() -> None:
    """A comma or a quote in a reference would shift what follows (RFC 4180)."""
    inset = view_code(Part.INSET, Turn.FLIP_HORIZONTAL)
    hashes = [Hash(Kind.PDQ, PDQ, 80, 1500, inset), Hash(Kind.MD5, MD5)]
    made = entry(hashes, reference='a "film", cut')
    [text], tally = written([(made, hashes)], Format.CSV, frozenset())
    id_ = made.ref.entry_id
    assert text == (
        "entry_id,reference,label,state,kind,hash,quality,pts_ms,frame_view\n"
        f'{id_},"a ""film"", cut",swords,active,pdq,{PDQ.hex()},80,1500,inset/flip_horizontal\n'
        f'{id_},"a ""film"", cut",swords,active,md5,{MD5.hex()},100,0,full\n'
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    [lines], _ = written([(made, hashes)], Format.JSONL, frozenset())
    of_json = [json.loads(line) for line in lines.splitlines()]
    assert [{name: str(each) for name, each in row.items()} for row in of_json] == rows
    assert list(of_json[0]) == list(COLUMNS)
    assert tally == Tally(1, 2)


def test_bare_hashes_are_one_kind_and_nothing_else() -> None:
    """64 digits may be PDQ or SHA-256: whoever reads them could not tell."""
    hashes = [Hash(Kind.PDQ, PDQ, 80, 1500), Hash(Kind.MD5, MD5)]
    [text], _ = written([(entry(hashes), hashes)], Format.HASHES, frozenset({Kind.PDQ}))
    assert text == f"{PDQ.hex()}\n"
    for kinds in ((), (Kind.PDQ, Kind.MD5)):
        with pytest.raises(InvalidField, match="one kind"):
            ListWriter(Format.HASHES, kinds)


@pytest.mark.parametrize("form", Format)
def test_what_is_nobody_elses_business_is_in_no_list(form: Format) -> None:
    """A partner would read who reported a child, and what a reviewer thought of it."""
    hashes = [Hash(Kind.PDQ, PDQ)]
    files, _ = written([(entry(hashes), hashes)], form, frozenset({Kind.PDQ}))
    assert PDQ.hex() in files[0]
    assert "secret" not in files[0]


# What comes back

TEXTS = st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=12).map(
    str.strip
)  # Spaces around are not kept.


@st.composite
def hashes_of(draw: st.DrawFn) -> list[Hash]:
    """Of any kinds, flat ones and digests of one byte among them."""
    count = draw(st.integers(0, 7))
    made = []
    for _ in range(count):
        kind = draw(st.sampled_from(Kind))
        digest = draw(st.binary(min_size=kind.width, max_size=kind.width))
        quality = 100 if kind.exact else draw(st.integers(0, 100))
        pts_ms = 0 if kind.exact else draw(st.integers(-DAYS, DAYS))
        made.append(Hash(kind, digest, quality, pts_ms, draw(st.sampled_from([*VIEWS.values()]))))
    return made


ENTRIES = st.lists(
    st.tuples(hashes_of(), TEXTS, TEXTS, st.sampled_from(EntryState)), max_size=5
).map(
    lambda some: [
        (entry(hashes, number, reference, label, state), hashes)
        for number, (hashes, reference, label, state) in enumerate(some)
    ]
)


def read_again(files: Sequence[str], form: Format, kinds: frozenset[Kind]) -> list[Item]:
    """What an import makes of them. Lines are broken by digests that are of no picture alone."""
    found: list[Any] = []
    for text in files:
        said = next(iter(kinds)) if form is Format.HASHES else None
        reader = ListReader(frozenset(Kind), form, said)
        found += reader.feed(text.encode())
        found += reader.finish()
    assert {each.code.name for each in found if not isinstance(each, Item)} <= {"FLAT"}
    return [each for each in found if isinstance(each, Item)]


def kept(hashes: Sequence[Hash], kinds: frozenset[Kind]) -> list[Hash]:
    """Those that an import takes."""
    return [
        each
        for each in hashes
        if each.kind in kinds
        and not each.flat
        and each.digest.count(each.digest[0]) < len(each.digest)
    ]


@PATIENT
@given(ENTRIES, st.sampled_from(Format), st.sets(st.sampled_from(Kind)), st.data())
def test_what_is_written_is_read_again(
    entries: list[tuple[Entry, list[Hash]]], form: Format, asked: set[Kind], data: st.DataObject
) -> None:
    """A list that goes from one server to another would match less than before."""
    kinds = frozenset(asked & HOLDS[form])
    if form is Format.HASHES:
        kinds = frozenset({data.draw(st.sampled_from(Kind))})
    files, tally = written(entries, form, kinds)
    kinds = kinds or HOLDS[form]
    items = read_again(files, form, kinds)
    whole = [(made, some) for made, hashes in entries if (some := kept(hashes, kinds))]
    if form in (Format.CSV, Format.JSONL):
        assert [list(item.hashes) for item in items] == [some for _, some in whole]
        assert [(item.reference, item.label) for item in items] == [
            (made.ref.reference, made.ref.label) for made, _ in whole
        ]
        assert tally.not_kept == {}
    elif form is Format.VPDQ:
        expected = [
            [Hash(Kind.PDQ, each.digest, each.quality, max(0, each.pts_ms)) for each in some]
            for _, some in whole
        ]
        assert [list(item.hashes) for item in items] == expected
    else:
        expected = [[Hash(each.kind, each.digest)] for _, some in whole for each in some]
        assert [list(item.hashes) for item in items] == expected
    if form is Format.THREATEXCHANGE:
        names = [(made.ref.reference, made.ref.label) for made, some in whole for _ in some]
        assert [(item.reference, item.label) for item in items] == names
    # Whatever does not come back was counted, or is of no picture.
    every = [each for _, hashes in entries for each in hashes if each.kind in kinds]
    assert tally.hashes + tally.left_out.get("flat", 0) == len(every)
    if form is not Format.HASHES and not asked & HOLDS[form]:
        others = [each for _, hashes in entries for each in hashes if each.kind not in kinds]
        assert tally.left_out.get("kinds", 0) == len(others)
    assert tally.entries + tally.left_out.get("entries", 0) == len(entries)


def test_what_a_format_has_no_place_for_is_counted() -> None:
    """Somebody would think that a partner has all of it."""
    view = view_code(Part.CONTENT)
    patch = Hash(Kind.PDQ_PATCH, bytes(range(36)))
    some = [Hash(Kind.PDQ, PDQ, 70, 40, view), Hash(Kind.PDQ, OTHER, 100, -40), patch]
    flat, file = [Hash(Kind.PDQ, PDQ, 49)], [Hash(Kind.MD5, MD5)]
    entries = [
        (entry(hashes, number, state=state), hashes)
        for number, (hashes, state) in enumerate(
            [(some, EntryState.WITHDRAWN), (flat, EntryState.ACTIVE), (file, EntryState.ACTIVE)]
        )
    ]
    _, tally = written(entries, Format.VPDQ, frozenset())
    assert tally == Tally(
        1,
        2,
        {"flat": 1, "kinds": 2, "entries": 2},
        {"times": 1, "views": 1, "names": 1, "states": 1},
    )
    _, tally = written(entries, Format.THREATEXCHANGE, frozenset())
    assert tally == Tally(
        2,
        3,
        {"flat": 1, "kinds": 1, "entries": 1},
        {"times": 2, "views": 1, "qualities": 1, "entries": 1, "states": 1},
    )
    _, tally = written(entries, Format.HASHES, frozenset({Kind.PDQ}))
    assert tally.not_kept["names"] == tally.not_kept["entries"] == 1
    assert tally.left_out == {"flat": 1, "entries": 2}  # Of the kind that was asked for.
    _, tally = written(entries, Format.CSV, frozenset())
    assert tally == Tally(2, 4, {"flat": 1, "entries": 1})
    for form, kind in ((Format.VPDQ, Kind.MD5), (Format.THREATEXCHANGE, Kind.PHASH)):
        with pytest.raises(InvalidField, match=f"no place for {kind.name}"):
            ListWriter(form, {kind})


def test_a_writer_goes_on_where_another_was() -> None:
    """A list that was ended and gone on with would be no JSON."""
    first, second = ([Hash(Kind.PDQ, each)] for each in (PDQ, OTHER))
    before = ListWriter(Format.THREATEXCHANGE)
    text = before.begin() + before.add(parts(entry(first), first)[0])
    after = ListWriter(Format.THREATEXCHANGE, (), Tally(**before.tally.as_json()))
    text += after.add(parts(entry(second, 2), second)[0]) + after.end()
    assert [row["indicator"] for row in json.loads(text)["data"]] == [PDQ.hex(), OTHER.hex()]
    assert after.tally == Tally(2, 2)
