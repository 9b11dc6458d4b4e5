"""Lists of hashes are read line by line, and each line that is broken is told."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import InvalidField
from hashmatch.lists import reader as lists
from hashmatch.lists.reader import Hash, Item, ListReader
from hashmatch.model.imports import Format, ImportProblem, ProblemCode
from hashmatch.model.verdicts import Kind, Part, Turn
from hashmatch.model.views import view_code
from tests.support import PATIENT

KINDS = frozenset(Kind)


def digest(seed: int, width: int = 32) -> bytes:
    """Some bytes."""
    return np.random.default_rng(seed).integers(0, 256, width, np.uint8).tobytes()


PDQ, OTHER = digest(1).hex(), digest(2).hex()


def read(
    data: bytes | str,
    *,
    form: Format | None = None,
    kind: Kind | None = None,
    kinds: frozenset[Kind] = KINDS,
    step: int = 0,
) -> list[Item | ImportProblem]:
    """All that a list says, fed so many bytes at once."""
    encoded = data.encode() if isinstance(data, str) else data
    reader = ListReader(kinds, form, kind)
    found = []
    for start in range(0, len(encoded), step or max(1, len(encoded))):
        found += reader.feed(encoded[start : start + (step or len(encoded))])
    return found + reader.finish()


def one(data: str, **said: Kind) -> Item:
    """The only item of a list."""
    (found,) = read(data, **said)  # type: ignore[arg-type]
    assert isinstance(found, Item), found
    return found


LISTS = {
    Format.CSV: f"hash,kind,id,label\n{PDQ},pdq,case 1,a\n{OTHER},HASH_PDQ,case 2,\n",
    Format.JSONL: "".join(
        json.dumps({"hash": each, "type": "pdq", "id": f"case {n}", "tags": ["a"]}) + "\n"
        for n, each in enumerate((PDQ, OTHER), 1)
    ),
    Format.HASHES: f"# of somebody\n{PDQ}\n\n{OTHER.upper()}\n",
    Format.VPDQ: f"0,100,{PDQ},0.0\n30,99,{OTHER},1.001\n",
    Format.THREATEXCHANGE: json.dumps(
        {
            "data": [
                {"id": 7, "indicator": {"indicator": PDQ, "type": "HASH_PDQ"}},
                {"id": "8", "indicator": OTHER, "type": "HASH_PDQ", "status": "MALICIOUS"},
            ]
        },
        indent=1,
    ),
}


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_form_is_read(form: Format, ends: str) -> None:
    """A list of a partner would have to be rewritten by hand."""
    data = LISTS[form].replace("\n", ends)
    found = read(data, kind=Kind.PDQ)
    reader = ListReader(KINDS, None, Kind.PDQ)
    reader.feed(data.encode())
    reader.finish()
    assert reader.form is form
    assert found == read(data, form=form, kind=Kind.PDQ)
    hashes = [each for item in found if isinstance(item, Item) for each in item.hashes]
    assert [each.digest.hex() for each in hashes] == [PDQ, OTHER]
    assert {each.kind for each in hashes} == {Kind.PDQ}
    if form is Format.VPDQ:
        assert len(found) == 1
        assert [(each.quality, each.pts_ms) for each in hashes] == [(100, 0), (99, 1001)]


@PATIENT
@given(step=st.integers(1, 400), form=st.sampled_from(Format))
def test_it_does_not_matter_how_the_bytes_come(step: int, form: Format) -> None:
    """The same list would be another one by another connection."""
    assert read(LISTS[form], kind=Kind.PDQ, step=step) == read(LISTS[form], kind=Kind.PDQ)


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    """Spreadsheets write one."""
    assert one(f"\N{BYTE ORDER MARK}pdq\n{PDQ}\n").hashes == [Hash(Kind.PDQ, digest(1))]


def test_kinds_go_by_their_lengths_where_that_is_plain() -> None:
    """imagehash's, MD5 and SHA-1; 64 digits may be two."""
    for kind in (Kind.PHASH, Kind.MD5, Kind.SHA1):
        made = digest(5, kind.width)
        assert one(made.hex()).hashes == [Hash(kind, made)]
    (problem,) = read(PDQ)
    assert isinstance(problem, ImportProblem)
    assert (problem.code, problem.problem) == (
        ProblemCode.KIND,
        "Ambiguous: add --kind pdq or --kind sha256",
    )
    assert one(PDQ, kind=Kind.SHA256).hashes == [Hash(Kind.SHA256, digest(1))]


def test_an_entry_may_have_hashes_of_several_kinds() -> None:
    """Exchanges tell MD5 and PDQ of one picture."""
    md5 = digest(3, 16)
    found = one(f"id,md5,pdq,quality\ncase 1,{md5.hex()},{PDQ},80\n")
    assert found.reference == "case 1"
    assert set(found.hashes) == {Hash(Kind.MD5, md5, 80), Hash(Kind.PDQ, digest(1), 80)}


def test_lines_of_one_entry_are_one() -> None:
    """A video would become as many entries as it has frames, and lose which second shows what."""
    md5, inset = digest(4, 16), view_code(Part.INSET, Turn.ROTATE_90)
    rows = [
        ("e1", "a film", PDQ, "pdq", 80, 0, ""),
        ("e1", "", md5.hex(), "md5", "", "", ""),
        ("e1", "", OTHER, "pdq", "", -40, "inset/rotate_90"),
        ("e2", "", OTHER, "pdq", "", "", "full"),
        ("", "alone", PDQ, "pdq", "", "", ""),
        ("e1", "again", PDQ, "pdq", "", "", ""),
    ]
    names = ("entry_id", "reference", "hash", "kind", "quality", "pts_ms", "frame_view")
    of_csv = "\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)])
    of_json = "\n".join(["", *(json.dumps(dict(zip(names, row, strict=True))) for row in rows)])
    for step in (0, 7):
        assert read(of_csv, step=step) == read(of_json, step=step)
        film, second, alone, again = (each for each in read(of_csv) if isinstance(each, Item))
        assert film.hashes == [
            Hash(Kind.PDQ, digest(1), 80),
            Hash(Kind.MD5, md5),
            Hash(Kind.PDQ, digest(2), 100, -40, inset),
        ]
        assert (film.line, film.reference, film.entry) == (4, "a film", "e1")
        assert [len(each.hashes) for each in (second, alone, again)] == [1, 1, 1]
        assert [each.line for each in (second, alone, again)] == [5, 6, 7]


def test_a_broken_line_within_an_entry_leaves_the_rest_of_it() -> None:
    """One bad frame must not cost the film, nor split it in two."""
    rows = [
        f"e1,{PDQ},pdq,0,",
        f"e1,{PDQ},pdq,soon,",
        f"e1,{PDQ},pdq,1,above",
        f"e1,{OTHER},pdq,9,",
    ]
    found = read("\n".join(["entry_id,hash,kind,pts_ms,frame_view", *rows]))
    soon, above, film = found
    assert isinstance(soon, ImportProblem)
    assert isinstance(above, ImportProblem)
    assert [(each.line, each.code) for each in (soon, above)] == [
        (3, ProblemCode.TIME),
        (4, ProblemCode.VIEW),
    ]
    assert isinstance(film, Item)
    assert [each.pts_ms for each in film.hashes] == [0, 9]


def test_an_entry_has_no_end_of_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of one endless entry would fill the memory."""
    monkeypatch.setattr(lists, "_MOST_FRAMES", 3)
    rows = "\n".join(f"e1,{digest(n).hex()},pdq" for n in range(5))
    found = read(f"entry_id,hash,kind\n{rows}")
    assert [each.code for each in found if isinstance(each, ImportProblem)] == [
        ProblemCode.LINE_TOO_LONG
    ] * 2
    (film,) = (each for each in found if isinstance(each, Item))
    assert len(film.hashes) == 3


@pytest.mark.parametrize("text", ["a film", "x" * 257, "a\abell"])
def test_what_threatexchange_describes_is_a_reference_if_it_can_be(text: str) -> None:
    """There may be anything: it must not cost the hash."""
    row = {"indicator": PDQ, "type": "HASH_PDQ", "description": text}
    assert one(json.dumps([row])).reference == (text if text == "a film" else "")
    assert one(json.dumps([{**row, "id": "77"}])).reference == "77"


HEADER = "hash,kind,reference,label,quality"
BROKEN = {
    "63 digits": (
        f"{PDQ[:-1]},pdq,,,",
        ProblemCode.LENGTH,
        "PDQ hash has 63 hex digits, 64 needed",
    ),
    "65 digits": (f"{PDQ}0,pdq,,,", ProblemCode.LENGTH, "PDQ hash has 65 hex digits, 64 needed"),
    "of md5": (f"{PDQ},md5,,,", ProblemCode.LENGTH, "MD5 hash has 64 hex digits, 32 needed"),
    "no hex": (f"g{PDQ[1:]},pdq,,,", ProblemCode.HEX, "PDQ hash contains a non-hex character"),
    "a space": (f"{PDQ[:30]} {PDQ[31:]},pdq,,,", ProblemCode.HEX, ""),
    "base64": ("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=,pdq,,,", ProblemCode.LENGTH, ""),
    "nothing": (",pdq,,,", ProblemCode.EMPTY, "has no hash"),
    "blanks": ("   ,pdq,,,", ProblemCode.EMPTY, ""),
    "no kind": (f"{PDQ},,,,", ProblemCode.KIND, "Ambiguous: add --kind pdq or --kind sha256"),
    "another kind": (f"{PDQ},tmk,,,", ProblemCode.KIND, "has a kind that is not known"),
    "not of the bank": (f"{PDQ},sha256,,,", ProblemCode.KIND, "the bank does not use SHA256"),
    "odd digits": ("abc,,,,", ProblemCode.LENGTH, "has 3 hex digits; no kind of hash has so many"),
    "all zeros": ("0" * 64 + ",pdq,,,", ProblemCode.FLAT, ""),
    "all ones": ("f" * 64 + ",pdq,,,", ProblemCode.FLAT, ""),
    "too few columns": (f"{PDQ},pdq", ProblemCode.COLUMNS, "has 2 columns, 5 needed"),
    "too many columns": (f"{PDQ},pdq,,,,,", ProblemCode.COLUMNS, "has 7 columns, 5 needed"),
    "an open quote": (f'{PDQ},pdq,"a,,', ProblemCode.SYNTAX, "has a quote that is not closed"),
    "quality as text": (f"{PDQ},pdq,,,good", ProblemCode.QUALITY, ""),
    "quality 101": (
        f"{PDQ},pdq,,,101",
        ProblemCode.QUALITY,
        "has a quality of 101; 0 to 100 are possible",
    ),
    "quality 12": (
        f"{PDQ},pdq,,,12",
        ProblemCode.QUALITY,
        "has a quality of 12; below 50 none matches",
    ),
    "a long reference": (f"{PDQ},pdq,{'x' * 257},,", ProblemCode.TEXT, ""),
    "a long label": (f"{PDQ},pdq,,{'x' * 65},", ProblemCode.TEXT, ""),
    "a bell": (f"{PDQ},pdq,a\a,,", ProblemCode.TEXT, ""),
    "a zero": (f"{PDQ},pdq,a\0,,", ProblemCode.NOT_TEXT, ""),
    "a long line": ("x" * 70_000, ProblemCode.LINE_TOO_LONG, ""),
}


@pytest.mark.parametrize("step", [0, 1000])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_told_and_stops_nothing(name: str, step: int) -> None:
    """One bad line must not keep a list out, nor pass as if it were in."""
    line, code, problem = BROKEN[name]
    data = f"{HEADER}\n{PDQ},pdq,first,,\n{line}\n{OTHER},pdq,last,,100\n"
    found = read(data, kinds=frozenset({Kind.PDQ, Kind.MD5}), step=step)
    first, broken, last = found
    assert isinstance(first, Item)
    assert isinstance(last, Item)
    assert (first.line, first.reference, last.line, last.reference) == (2, "first", 4, "last")
    assert isinstance(broken, ImportProblem)
    assert (broken.line, broken.code) == (3, code)
    assert problem in broken.problem
    # What is told goes into reports and logs: no piece of a hash, and nothing of anybody.
    assert PDQ[:8] not in broken.problem
    assert "xxx" not in broken.problem


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xfe,1", ProblemCode.NOT_TEXT),
        (b'{"hash": 7', ProblemCode.SYNTAX),
        (b"[1, 2]", ProblemCode.SYNTAX),
        (b"7", ProblemCode.SYNTAX),
        (b'{"hash": {"a": 1}}', ProblemCode.EMPTY),
        (b'{"hash": null}', ProblemCode.EMPTY),
        (b"[" * 5000, ProblemCode.SYNTAX),
    ],
)
def test_broken_lines_of_json(data: bytes, code: ProblemCode) -> None:
    """Likewise."""
    good = json.dumps({"pdq": PDQ}).encode()
    found = read(good + b"\n" + data + b"\n" + good)
    assert [isinstance(each, Item) for each in found] == [True, False, True]
    broken = found[1]
    assert isinstance(broken, ImportProblem)
    assert broken.code is code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"1,100,{PDQ}", ProblemCode.COLUMNS),
        (f"1,100,{PDQ[:-2]},1.0", ProblemCode.LENGTH),
        (f"1,x,{PDQ},1.0", ProblemCode.QUALITY),
        (f"1,20,{PDQ},1.0", ProblemCode.QUALITY),
        (f"1,100,{PDQ},soon", ProblemCode.TIME),
        (f"1,100,{PDQ},-1", ProblemCode.TIME),
        (f"1,100,{PDQ},1e99", ProblemCode.TIME),
        (f"1,100,{PDQ},8640001", ProblemCode.TIME),
        (f"1,100,{PDQ},nan", ProblemCode.TIME),
    ],
)
def test_broken_frames_of_a_video(line: str, code: ProblemCode) -> None:
    """The rest of the video is listed."""
    found = read(f"0,100,{OTHER},0.0\n{line}\n60,100,{OTHER},2.0\n")
    broken, video = found
    assert isinstance(broken, ImportProblem)
    assert broken.code is code
    assert isinstance(video, Item)
    assert [each.pts_ms for each in video.hashes] == [0, 2000]


@pytest.mark.parametrize(
    "data",
    [
        "name,age\n1,2\n",
        "hello\n",
        "<html>",
        "PK\x03\x04",
        "pdq,pdq\n",
        '{"data": 7}',
        '{"data": {"a": 1}}',
        "[1, 2",
    ],
)
def test_what_is_no_list_is_refused_as_a_whole(data: str) -> None:
    """Nothing of it could be right."""
    with pytest.raises(InvalidField):
        read(data)


def test_nothing_is_an_empty_list() -> None:
    """An exchange that has nothing new."""
    assert read("") == read("\n\n# nothing\n") == []


@PATIENT
@given(st.binary(max_size=300), st.sampled_from([None, *Format]), st.integers(0, 40))
def test_any_bytes_are_read_or_refused(data: bytes, form: Format | None, step: int) -> None:
    """A crafted list must not become a fault of the server."""
    try:
        found: Sequence[Item | ImportProblem] = read(data, form=form, step=step)
    except InvalidField:
        return
    assert all(each.line >= 1 for each in found)
