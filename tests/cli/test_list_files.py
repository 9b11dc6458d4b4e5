"""Lists as files: whole or not there, and gone on with after a run was ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hashmatch.cli.list_files import ListFile, ListFolder
from hashmatch.errors import InvalidField

ASKED = {"bank": "bnk_1", "since": "7d"}
TALLY = {"entries": 1}


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    """Half a list would be taken for all of it."""
    path = tmp_path / "list.csv"
    path.write_text("of yesterday")
    file = ListFile(path, ASKED)
    assert file.saved is None
    file.write("one\n")
    file.keep("a token", TALLY)
    file.write("two\n")
    assert path.read_text() == "of yesterday"
    file.finish()
    file.close()
    assert path.read_text() == "one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_goes_on_after_what_was_kept(tmp_path: Path) -> None:
    """Lines would come twice, or be missing."""
    path = tmp_path / "list.csv"
    killed = ListFile(path, ASKED, since="then")
    killed.write("one\n")
    killed.keep("a token", TALLY)
    killed.write("half of tw")
    killed.close()
    file = ListFile(path, ASKED, since="now")
    assert file.saved is not None
    assert (file.saved.resume_token, file.saved.tally) == ("a token", TALLY)
    assert file.saved.since == "then"  # A week ago is another day by now.
    file.write("two\n")
    file.keep("another", TALLY)
    file.close()
    again = ListFile(path, ASKED, since="later")
    assert again.saved is not None
    assert (again.saved.resume_token, again.saved.since) == ("another", "then")
    again.finish()
    again.close()
    assert path.read_text() == "one\ntwo\n"


def test_what_was_kept_of_nothing_is_begun_anew(tmp_path: Path) -> None:
    """What a run left that never came to keep anything may be anything."""
    path = tmp_path / "list.csv"
    killed = ListFile(path, ASKED)
    killed.write("one\n")
    killed.close()
    file = ListFile(path, ASKED)
    assert file.saved is None
    file.write("1\n")
    file.finish()
    file.close()
    assert path.read_text() == "1\n"


@pytest.mark.parametrize("form", [ListFile, ListFolder])
def test_what_is_left_of_something_else_is_not_gone_on_with(
    tmp_path: Path, form: type[ListFile] | type[ListFolder]
) -> None:
    """A list would be one half of one bank, one half of another."""
    path = tmp_path / "list"
    killed = form(path, ASKED)
    killed.keep("a token", TALLY)
    with pytest.raises(InvalidField, match="another run"):
        form(path, ASKED)
    killed.close()
    with pytest.raises(InvalidField, match="something else"):
        form(path, {**ASKED, "bank": "bnk_2"})
    (state,) = tmp_path.rglob("*.part.json")
    kept = json.loads(state.read_text())
    for broken in ("", "[]", "{}", json.dumps({**kept, "bytes": "x"})):
        state.write_text(broken)
        with pytest.raises(InvalidField, match="damaged"):
            form(path, ASKED)
    if form is ListFile:
        state.write_text(json.dumps({**kept, "bytes": 7}))
        with pytest.raises(InvalidField, match="was changed"):
            form(path, ASKED)


def test_a_folder_has_whole_files_alone(tmp_path: Path) -> None:
    """Half a film would be listed as if it were one."""
    path = tmp_path / "films"
    killed = ListFolder(path, ASKED)
    killed.write("1", "one.txt", more=True)
    killed.write("2", "one.txt")
    killed.write("", "nothing.txt")
    killed.keep("a token", TALLY)
    killed.write("3", "two.txt", more=True)
    killed.close()
    assert (path / "one.txt").read_text() == "12"
    assert not (path / "two.txt").exists()
    folder = ListFolder(path, ASKED)
    assert folder.saved is not None
    assert folder.saved.resume_token == "a token"
    folder.write("34", "two.txt")
    folder.finish()
    folder.close()
    assert {each.name: each.read_text() for each in path.iterdir()} == {
        "one.txt": "12",
        "two.txt": "34",
    }
    with pytest.raises(InvalidField, match="not empty"):
        ListFolder(path, ASKED)


def test_a_folder_that_was_only_begun_is_gone_on_with(tmp_path: Path) -> None:
    """It would have to be removed by hand."""
    killed = ListFolder(tmp_path / "films", ASKED)
    killed.write("3", "two.txt", more=True)
    killed.close()
    folder = ListFolder(tmp_path / "films", ASKED)
    assert folder.saved is None
    folder.write("34", "two.txt")
    folder.finish()
    folder.close()
    assert [each.name for each in (tmp_path / "films").iterdir()] == ["two.txt"]
