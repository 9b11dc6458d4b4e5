"""The command line against a real server: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from hashmatch.cli.command import ExitCode
from hashmatch.cli.list_files import ListFile
from hashmatch.client import Client
from hashmatch.model.callers import Role, new_token
from hashmatch.model.records import BankPolicy
from hashmatch.model.verdicts import Action, Activation, BankMode, EntryState, Kind, Verdict
from hashmatch.wire.signals import signals_to_wire
from tests.cli.commands import run
from tests.conftest import ROOT, RunningServer
from tests.support import clip, image, new_id, reencoded, signals

NOWHERE = "127.0.0.1:1"


def spawn(*arguments: str | bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "hashmatch", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONUTF8": "1"},
    )


@pytest.fixture(autouse=True)
def _the_server(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHMATCH_SERVER", server.address)


@pytest.fixture
def bank(client: Client) -> Iterator[str]:
    """The name of a blocking bank of this test, with one entry that nothing here matches."""
    name = f"bank-{new_id()[:8]}"
    client.create_bank(name, action=Action.BLOCK, label="of a test")
    client.add_entry_from_signals(name, [signals_to_wire(signals(4321))], reference="hashes")
    yield name
    client.archive_bank(client.get_bank(name).bank_id)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of files: clean, known (after `known`), and broken."""
    (tmp_path / "clean.png").write_bytes(image(1))
    (tmp_path / "known.mkv").write_bytes(clip([61, 62, 63]))
    (tmp_path / "again.mkv").write_bytes(clip([61, 62, 63], quality=6))
    (tmp_path / "doubtful.png").write_bytes(image(71))
    (tmp_path / "broken.png").write_bytes(b"no media\n" * 99)
    return tmp_path


# What can be asked for


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["bank"],
        ["screen"],
        ["screen", "--jobs", "0", "x"],
        ["screen", "--timeout", "0", "x"],
        ["bank", "create", "x"],
        ["bank", "create", "x", "--action", "warn"],
        ["bank", "create", "x", "--action", "block", "--kind", "sha3"],
        ["bank", "create", "x", "--action", "block", "--kind", "pdq:many"],
        ["bank", "create", "x", "--action", "block", "--kind", "pdq:64"],
        ["bank", "create", "x", "--action", "block", "--kind", "pdq:99999999999"],
        ["bank", "create", "x", "--action", "block", "--kind", "pdq:" + "9" * 5000],
        ["bank", "create", "x", "--action", "block", "--kind", "sha256:1"],
        ["bank", "create", "x", "--action", "block", "--kind", "phash"],
        ["bank", "update", "x", "--action", "warn"],
        ["entry", "add", "x"],
        ["entry", "add", "--bank", "x", "--reference", "one", "file", "other"],
        ["entry", "list", "--state", "gone"],
        ["entry", "list", "--limit", "0"],
        ["screening", "list", "--verdict", "MAYBE"],
        ["screening", "list", "--since", "yesterday"],
        ["screening", "list", "--since", "d"],
        ["screening", "list", "--since", "infd"],
        ["screening", "list", "--since", "nand"],
        ["screening", "list", "--since", "99999999999d"],
        ["screening", "list", "--since", ""],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    """A script could not tell a typing error from a server that is down."""
    done = run(*arguments)
    assert done.code == 2
    assert "Usage: " in done.out + done.err
    assert "Traceback" not in done.err


def test_exit_codes_are_those_that_are_documented() -> None:
    """A script that follows the documentation would publish what was blocked."""
    page = (ROOT / "docs" / "commands.md").read_text()
    documented = dict(re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE))
    assert documented == {f"{int(code)}": code.name for code in ExitCode}
    told = " ".join(run("--help").out.split())
    for verdict in (Verdict.REVIEW, Verdict.INCONCLUSIVE, Verdict.BLOCK):
        assert f"{int(ExitCode[verdict.name])} {verdict.name}" in told


# Banks and entries


def test_a_bank_from_its_making_to_its_end() -> None:
    """A keeper could not do his work from a terminal."""
    name = f"bank-{new_id()[:8]}"
    made = run("bank", "create", name, "--action", "review", "--label", "a label", "--json")
    assert made.code == 0
    bank = made.object["bank"]
    assert (bank["name"], bank["action"], bank["label"]) == (name, "ACTION_REVIEW", "a label")
    assert bank["kinds"] == [
        {"kind": "KIND_PDQ", "max_distance": 31},
        {"kind": "KIND_SHA256", "max_distance": 0},
        {"kind": "KIND_PDQ_PATCH", "max_distance": 40},
    ]
    assert bank["active_entries"] == "0"
    again = run("bank", "create", name, "--action", "review", "--json")
    assert again.code == 1
    assert again.object["error"]["reason"] == "BANK_EXISTS"
    kinds = ["--kind", "pdq:20", "--kind", "phash:8", "--kind", "md5"]
    changed = run("bank", "update", name, "--action", "BLOCK", *kinds, "--json")
    assert changed.object["bank"]["action"] == "ACTION_BLOCK"
    assert changed.object["bank"]["label"] == "a label"
    assert {each["kind"]: each["max_distance"] for each in changed.object["bank"]["kinds"]} == {
        "KIND_PDQ": 20,
        "KIND_PHASH": 8,
        "KIND_MD5": 0,
    }
    shown = run("bank", "list")
    line = next(line for line in shown.out.splitlines() if line.startswith(name))
    assert "block" in line
    assert [each["bank"] for each in run("bank", "list", "--json").objects].count(
        changed.object["bank"]
    ) == 1
    renamed = run("bank", "update", bank["bank_id"], "--name", f"{name}-2", "--json")
    assert renamed.object["bank"]["name"] == f"{name}-2"
    archived = run("bank", "archive", f"{name}-2", "--json")
    assert archived.object["bank"]["state"] == "BANK_STATE_ARCHIVED"
    assert run("bank", "archive", f"{name}-2").code == 1


def test_the_version_is_told() -> None:
    """Nobody could say which version a fault was seen with."""
    assert run("--version").out == f"hashmatch {metadata.version('hashmatch')}\n"


def test_a_bank_that_is_tried_before_it_acts(files: Path) -> None:
    """Nobody could say from a terminal when a list goes live, or see what it would do."""
    name = f"bank-{new_id()[:8]}"
    made = run("bank", "create", name, "--action", "block", "--shadow", "--json").object["bank"]
    assert made["policy"] == {
        "mode": "BANK_MODE_SHADOW",
        "traffic_percent": 100,
        "block_score": 14,
        "review_score": 0,
        "flood_limit": 1000,
    }
    run("entry", "add", "--bank", name, files / "known.mkv")
    told = run("screen", files / "known.mkv")
    assert "without effect (shadow): 0.0" in told.out
    assert f"({name})" in told.out.replace("\n", " ")
    assert "active, shadow" in run("bank", "list").out
    scores = ["--block-score", "20", "--review-score", "5", "--flood-limit", "7"]
    changed = run("bank", "update", name, "--traffic", "0", *scores, "--json").object["bank"]
    assert changed["policy"] == {
        "mode": "BANK_MODE_SHADOW",
        "traffic_percent": 0,
        "block_score": 20,
        "review_score": 5,
        "flood_limit": 7,
    }
    live = run("bank", "update", name, "--live", "--json").object["bank"]["policy"]
    assert (live["mode"], live["traffic_percent"]) == ("BANK_MODE_LIVE", 0)
    assert "active, 0 %" in run("bank", "list").out
    assert run("bank", "update", name, "--traffic", "101").code == 2
    assert run("bank", "archive", name).code == 0


def test_a_case_from_its_making_to_its_end(files: Path) -> None:
    """A reviewer could not do her work from a terminal."""
    name = f"bank-{new_id()[:8]}"
    run("bank", "create", name, "--action", "review")
    run("entry", "add", "--bank", name, files / "known.mkv")
    held = run("screen", files / "known.mkv", "--json").object["screening"]
    case_id = held["case_id"]
    assert case_id in run("case", "list").out
    assert "held for review" in run("case", "show", case_id).out
    assert f"{case_id}, open" in run("screening", "show", held["screening_id"]).out
    assert run("case", "list", "--type", "flood", "--json").objects == []
    assert run("case", "list", "--state", "nothing").code == 2
    assert run("case", "decide", case_id).code == 2
    decided = run("case", "decide", case_id, "--overturn", "--why", "a toy", "--json").object
    assert decided["case"]["decision"] == "CASE_DECISION_OVERTURNED"
    assert "a toy" in run("case", "show", case_id).out
    (row,) = run("audit", "log", "--subject", case_id, "--json").rows
    assert row["row"]["details"] == {"decision": "OVERTURNED", "why": "a toy"}
    assert run("case", "decide", case_id, "--uphold", "--json").object["error"]["reason"] == (
        "CASE_DECIDED"
    )
    assert case_id not in run("case", "list").out
    assert case_id in run("case", "list", "--state", "all", "--since", "1h").out
    shown = run("screening", "show", held["screening_id"])
    assert f"{case_id}, overturned" in shown.out
    entry = run("entry", "list", "--bank", name, "--json").object["entry"]["ref"]["entry_id"]
    refused = run("entry", "release", entry, "--json")
    assert refused.object["error"]["reason"] == "ENTRY_NOT_QUARANTINED"
    run("bank", "archive", name)


def test_an_entry_from_its_making_to_its_end(bank: str, files: Path) -> None:
    """Likewise."""
    added = run(
        "entry", "add", "--bank", bank, "--reference", "case 7", files / "known.mkv", "--json"
    )
    assert added.code == 0
    entry = added.object["entry"]
    assert added.object["file"] == str(files / "known.mkv")
    assert entry["ref"]["reference"] == "case 7"
    assert entry["ref"]["label"] == "of a test"
    assert {each["kind"] for each in entry["kinds"]} == {
        "KIND_PDQ",
        "KIND_SHA256",
        "KIND_PDQ_PATCH",
    }
    listed = run("entry", "list", "--bank", bank, "--json")
    assert [each["entry"]["ref"]["reference"] for each in listed.objects] == ["case 7", "hashes"]
    assert len(run("entry", "list", "--bank", bank, "--limit", "1", "--json").rows) == 1
    table = run("entry", "list", "--bank", bank)
    assert entry["ref"]["entry_id"] in table.out
    gone = run("entry", "withdraw", entry["ref"]["entry_id"], "--json")
    assert gone.object["entry"]["state"] == "ENTRY_STATE_WITHDRAWN"
    left = run("entry", "list", "--bank", bank, "--state", "active", "--json")
    assert [each["entry"]["ref"]["reference"] for each in left.objects] == ["hashes"]
    assert run("entry", "withdraw", "ent_nothing").code == 1
    assert "BANK_NOT_FOUND" in run("entry", "list", "--bank", "nowhere").err


def test_changes_are_told(bank: str, files: Path) -> None:
    """Nobody could see from a terminal who was listed when, or keep a copy of the list."""
    seen = run("changes", "--json")
    assert seen.code == 0
    *changed, last = seen.objects
    assert last["checkpoint"]["revision"] == changed[-1]["change"]["revision"]
    assert changed[-1]["change"]["entry"]["ref"]["bank_name"] == bank
    revision = last["checkpoint"]["revision"]
    run("entry", "add", "--bank", bank, "--reference", "case 8", files / "known.mkv")
    for since in (["--after", revision], ["--resume", last["resume_token"]]):
        new, end = run("changes", *since, "--json").objects
        assert new["change"]["type"] == "CHANGE_TYPE_ENTRY_CREATED"
        assert new["change"]["entry"]["ref"]["reference"] == "case 8"
        assert end["checkpoint"]["revision"] == new["change"]["revision"]
    words = run("changes", "--after", revision)
    assert "entry created" in words.out
    assert bank in words.out
    beyond = run("changes", "--after", "999999", "--json")
    assert (beyond.code, beyond.object["error"]["reason"]) == (1, "REVISION_UNKNOWN")
    assert run("changes", "--after", "1", "--resume", "x").code == 2


def test_the_audit_trail_is_verified(bank: str, server: RunningServer, tmp_path: Path) -> None:
    """An auditor could not tell a trail that was changed from one that was not."""
    seen = run("audit", "verify", "--data", server.data, "--json")
    assert (seen.code, seen.object["findings"]) == (0, [])
    run("bank", "update", bank, "--label", "another")
    later = run("audit", "verify", "--data", server.data, "--noted", seen.object["hash"])
    assert later.code == 0
    assert f"{seen.object['rows'] + 1} rows" in later.out
    copy = tmp_path / "hashmatch.db"
    with sqlite3.connect(server.data / "hashmatch.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
        target.execute("DROP TRIGGER audit_no_update")
        target.execute("UPDATE audit SET actor = 'somebody' WHERE seq = 2")
        target.commit()
    wrong = run("audit", "verify", "--data", tmp_path)
    assert wrong.code == 1
    assert "row 2: it was changed after it was written" in wrong.out
    nothing = run("audit", "verify", "--data", tmp_path / "nothing", "--json")
    assert (nothing.code, nothing.object["error"]["reason"]) == (1, "CONFIG_INVALID")
    assert not (tmp_path / "nothing").exists()
    assert run("audit", "verify", "--noted", "xyz").code == 2


def test_changes_are_followed(bank: str, server: RunningServer, client: Client) -> None:
    """A person who waits for a change would have to ask again and again."""
    [end] = [each for each in run("changes", "--json").objects if "checkpoint" in each]
    # Where the tests run in the background, Ctrl-C is ignored, and by what they start too.
    code = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('hashmatch', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "changes", "--follow", "--json"]
    with subprocess.Popen(
        [*command, "--resume", end["resume_token"], "--server", server.address],
        stdout=subprocess.PIPE,
    ) as following:
        assert following.stdout is not None
        assert "checkpoint" in json.loads(following.stdout.readline())
        client.update_bank(bank, label="another")
        while "change" not in (heard := json.loads(following.stdout.readline())):
            pass
        assert heard["change"]["bank"]["label"] == "another"
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 0


def test_one_bad_file_does_not_keep_the_others_out(bank: str, files: Path) -> None:
    """A keeper who adds a folder would have to add all after the bad one again."""
    given = [files / name for name in ("known.mkv", "broken.png", "missing.png", "clean.png")]
    done = run("entry", "add", "--bank", bank, *given, "--json")
    assert done.code == 1
    told = done.objects
    assert [each["file"] for each in told] == [str(path) for path in given]
    assert told[0]["entry"]["ref"]["reference"] == "known.mkv"
    assert told[1]["error"]["reason"] == "MEDIA_UNUSABLE"
    assert told[2]["error"]["reason"] == "FILE_UNREADABLE"
    assert told[3]["entry"]["ref"]["reference"] == "clean.png"
    plain = run("entry", "add", "--bank", bank, *given)
    assert plain.code == 1
    assert "MEDIA_UNUSABLE" in plain.err
    assert "FILE_UNREADABLE" in plain.err
    assert plain.out.count("ent_") == 2


def test_what_stops_all_files_is_told_once(bank: str, files: Path) -> None:
    """A misspelled bank would be told for each of a thousand files, after sending each."""
    long = "x" * 65
    for option in (["--bank", bank, "--label", long], ["--bank", "nowhere"]):
        done = run("entry", "add", *option, files / "known.mkv", files / "clean.png", "--json")
        assert done.code == 1
        assert done.object["error"]["reason"] in ("INVALID_FIELD", "BANK_NOT_FOUND")


def test_what_was_added_is_told_even_if_the_rest_fails(
    bank: str, files: Path, client: Client
) -> None:
    """The entries of a long run would be made, and nobody would know their ids."""
    fifo = files / "second.png"
    os.mkfifo(fifo)

    def archive_then_let_go() -> None:
        # Opens once the command reads the second file: by then the first is an entry.
        with fifo.open("wb") as second:
            listed = list(client.list_entries(bank=bank))
            client.update_bank(bank, name=f"{bank}-moved")
            second.write(image(2))
        told.extend(entry.ref.entry_id for entry in listed)

    told: list[str] = []
    other = threading.Thread(target=archive_then_let_go)
    other.start()
    done = run("entry", "add", "--bank", bank, files / "known.mkv", fifo, files / "clean.png")
    other.join()
    client.update_bank(f"{bank}-moved", name=bank)
    assert done.code == 1
    assert "BANK_NOT_FOUND" in done.err
    assert told[0] in done.out
    assert done.out.count("ent_") == 1


# Screenings


def test_screenings_are_told_as_json(bank: str, files: Path, client: Client) -> None:
    """A script could not read which second of a file shows which entry."""
    client.add_entry(bank, files / "known.mkv", reference="the clip")
    client.add_entry(bank, clip([62, 63, 64]), reference="part of it")
    given = [files / name for name in ("again.mkv", "clean.png", "missing.png", "broken.png")]
    done = run("screen", *given, "--json", "--jobs", "2")
    assert done.code == 1  # One is missing.
    told = done.objects
    assert [each["file"] for each in told] == [str(path) for path in given]
    assert [set(each) for each in told] == [
        {"file", "screening"},
        {"file", "screening"},
        {"file", "error"},
        {"file", "screening"},
    ]
    blocked, clean, missing, broken = told
    assert blocked["screening"]["verdict"] == "VERDICT_BLOCK"
    references = [each["entry"]["reference"] for each in blocked["screening"]["evidence"]]
    assert references[0] == "the clip"  # Surest first.
    segment = blocked["screening"]["evidence"][0]["segments"][0]
    assert int(segment["media"]["end_ms"]) > int(segment["media"]["start_ms"]) >= 0
    assert clean["screening"]["verdict"] == "VERDICT_NO_MATCH"
    assert clean["screening"]["evidence"] == []
    assert missing["error"]["reason"] == "FILE_UNREADABLE"
    assert broken["screening"]["verdict"] == "VERDICT_INCONCLUSIVE"
    assert broken["screening"]["reasons"][0]["code"] == "VERDICT_REASON_UNSUPPORTED"


def test_screenings_are_told_in_words(bank: str, files: Path, client: Client) -> None:
    """A reviewer would have to read JSON."""
    client.add_entry(bank, files / "known.mkv", reference="the clip")
    done = run("screen", files / "again.mkv", files / "known.mkv", files / "clean.png")
    assert done.code == 0
    words = " ".join(done.out.split())
    assert "BLOCK" in words
    assert f"the clip ({bank})" in words
    assert "by PDQ at" in words
    assert "NO_MATCH" in words
    letters = "".join(words.split())  # A long path is folded.
    assert letters.index("again.mkv") < letters.index("known.mkv") < letters.index("clean.png")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["clean.png"], 0),
        (["clean.png", "doubtful.png"], 10),
        (["broken.png", "doubtful.png", "clean.png"], 11),
        (["known.mkv", "broken.png"], 12),
        (["known.mkv", "missing.png"], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_file(
    bank: str, files: Path, client: Client, names: list[str], code: int
) -> None:
    """A script that publishes if the command succeeds would publish what is forbidden."""
    client.add_entry(bank, files / "known.mkv")
    review = f"review-{new_id()[:8]}"
    client.create_bank(review, action=Action.REVIEW)
    client.add_entry(review, reencoded(71))
    given = [files / name for name in names]
    assert run("screen", "--exit-code", *given).code == code
    assert run("screen", *given).code == (1 if "missing.png" in names else 0)
    client.archive_bank(review)


def test_standard_input_is_screened(bank: str, files: Path) -> None:
    """A pipeline of commands would have to write a file first."""
    done = spawn("screen", "-", "--json", stdin=image(1))
    told = json.loads(done.stdout)
    assert told["file"] == "-"
    assert told["screening"]["verdict"] == "VERDICT_NO_MATCH"
    assert told["screening"]["media"]["size_bytes"] == str(len(image(1)))


def test_a_screening_is_shown_and_confirmed(bank: str, files: Path, client: Client) -> None:
    """Nobody could look up afterwards why something was blocked."""
    screened = run("screen", files / "clean.png", "--json").object["screening"]
    screening_id = screened["screening_id"]
    shown = run("screening", "show", screening_id, "--json").object["screening"]
    # As it was stored: times to the millisecond and what it took to the microsecond.
    assert {**shown, "elapsed": ""} == {**screened, "elapsed": ""}
    text = run("screening", "show", screening_id).out
    promised = "100.0 % of the running time", "at most 0.00 s in one piece", "at most 0 times"
    said = screening_id, "NO_MATCH", "complete", f"{len(image(1))} bytes", "96 x 96", *promised
    for part in said:
        assert part in text
    client.add_entry(bank, reencoded(1), reference="added since")
    confirmed = run("screening", "confirm", screening_id, "--json").object["screening"]
    assert (confirmed["verdict"], confirmed["judgement"]) == ("VERDICT_BLOCK", 2)
    assert "added since" in run("screening", "confirm", screening_id).out
    assert "judgement 3" in run("screening", "show", screening_id).out
    for command in ("show", "confirm"):
        done = run("screening", command, "scr_nothing", "--json")
        assert done.code == 1
        assert done.object["error"]["reason"] == "SCREENING_NOT_FOUND"


def test_screenings_are_listed(bank: str, files: Path) -> None:
    """Nobody could find a screening without its id."""
    made = [
        run("screen", files / name, "--json").object["screening"]["screening_id"]
        for name in ("clean.png", "broken.png", "clean.png")
    ]
    listed = run("screening", "list", "--json", "--limit", "3").rows
    assert [each["screening"]["screening_id"] for each in listed] == made[::-1]
    inconclusive = run("screening", "list", "--json", "--verdict", "inconclusive").objects
    assert inconclusive[0]["screening"]["screening_id"] == made[1]
    for since in ("30m", "12h", "7d", "2020-01-01", "2020-01-01T00:00:00Z"):
        done = run("screening", "list", "--since", since, "--limit", "1", "--json")
        assert done.rows[0]["screening"]["screening_id"] == made[-1]
    assert run("screening", "list", "--since", "2100-01-01", "--json").objects == []
    table = run("screening", "list", "--limit", "3")
    assert table.code == 0
    assert all(screening_id in table.out for screening_id in made)
    assert "UNSUPPORTED" in table.out


# Lists


LISTS = {
    ("bank", "list"): ("bank", "bank_id"),
    ("entry", "list"): ("entry", "ref"),
    ("import", "list"): ("import", "import_id"),
    ("caller", "list"): ("caller", "caller_id"),
    ("audit", "log"): ("row", "row"),
    ("screening", "list"): ("screening", "screening_id"),
}


@pytest.fixture
def _listed(bank: str, files: Path, client: Client) -> None:
    """Three of everything at least."""
    for number in range(3):
        client.create_bank(f"listed-{new_id()}", action=Action.REVIEW, thresholds={Kind.MD5: 0})
        client.import_entries(bank, f"{number}".zfill(64).encode(), kind=Kind.PDQ)
        client.create_caller(f"c-{new_id()}", roles=[Role.AUDITOR], token=new_token())
    assert run("screen", *[files / "clean.png"] * 3).code == 0


@pytest.mark.usefixtures("_listed")
@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_every_list_is_paged_alike(command: tuple[str, str]) -> None:
    """Whoever pages through one list would miss something in another, or read it twice."""
    about, key = LISTS[command]

    def page(*more: str) -> tuple[list[Any], str]:
        done = run(*command, "--json", *more)
        assert done.code == 0
        assert done.err == ""
        return [each[about][key] for each in done.rows], done.token

    whole, _ = page("--limit", "1000")
    assert len(whole) >= 3
    first, token = page("--limit", "2")
    second, rest = page("--limit", "1", "--after", token)
    assert first + second == whole[:3]
    if rest:
        assert page("--limit", "1000", "--after", rest)[0] == whole[3:]
    # In words, the token is told too.
    told = run(*command, "--limit", "1")
    assert re.search(r"--after \d+", told.err)
    assert run(*command, "--after", "nonsense").code == 1


@pytest.mark.usefixtures("_listed")
@pytest.mark.parametrize("command", [*LISTS, ("changes",)], ids=" ".join)
def test_every_list_begins_at_an_instant(command: tuple[str, ...]) -> None:
    """A report of today would hold what was made last year."""
    assert len(run(*command, "--json", "--since", "1h", "--limit", "3").rows) >= 3
    for since in ("2100-01-01", "2100-01-01T00:00:00Z"):
        done = run(*command, "--json", "--since", since, "--limit", "1")
        assert [each for each in done.objects if "checkpoint" not in each] == []
        assert done.err == ""
    for wrong in ("yesterday", "d", "nand", ""):
        assert run(*command, "--since", wrong).code == 2


@pytest.mark.usefixtures("_listed")
@pytest.mark.parametrize(
    ("command", "key"),
    [("bank", "create_time"), ("entry", "create_time"), ("import", "create_time")],
)
def test_what_was_made_at_the_instant_is_in(command: str, key: str) -> None:
    """The first of the day would be in no day's list."""
    made = [each[command][key] for each in run(command, "list", "--json").rows[:3]]
    since = run(command, "list", "--json", "--since", made[1]).rows
    assert [each[command][key] for each in since][:2] == made[:2]
    assert all(each[command][key] >= made[1] for each in since)


@pytest.mark.usefixtures("_listed")
def test_changes_are_told_a_few_at_a_time() -> None:
    """A script could not take them in parts."""
    whole = [each for each in run("changes", "--json").objects if "change" in each]
    first = run("changes", "--json", "--limit", "2")
    assert first.rows == whole[:2]
    second = run("changes", "--json", "--limit", "1", "--resume", first.token)
    assert second.rows == whole[2:3]


# Exports


def test_a_bank_is_exported(bank: str, files: Path, client: Client, tmp_path: Path) -> None:
    """A partner would get another list, or one that nobody can tell to be whole."""
    client.add_entry(bank, files / "known.mkv", reference="the film")
    (film, hashes) = client.list_entries(bank=bank)
    sent = run("entry", "export", bank, "--format", "csv")
    assert sent.code == 0
    assert sent.out.startswith("entry_id,")
    assert sent.out.count(film.ref.entry_id) == sum(each.usable for each in film.kinds)
    assert "2 entries with" in sent.err
    file = tmp_path / "list.csv"
    done = run("entry", "export", bank, "--format", "csv", "--output", file, "--json")
    assert file.read_text() == sent.out
    told = done.object["export"]
    assert (told["output"], told["entries"], told["not_kept"]) == (str(file), 2, {})
    lines = run("entry", "export", bank, "--format", "jsonl", "--kind", "sha256", "--json")
    assert [row["entry_id"] for row in lines.objects] == [film.ref.entry_id]
    assert json.loads(lines.err)["export"]["left_out"] == {"entries": 1}
    folder = tmp_path / "films"
    films = run("entry", "export", bank, "--format", "vpdq", "-o", folder)
    assert sorted(each.stem for each in folder.iterdir()) == sorted(
        each.ref.entry_id for each in (film, hashes)
    )
    assert "skipped: " in films.err
    assert "not kept: 2 entries have references" in films.err
    shared = run("entry", "export", bank, "--format", "threatexchange", "--since", "1h")
    rows = json.loads(shared.out)["data"]
    assert {row["description"] for row in rows} == {"the film", "hashes"}
    client.withdraw_entry(film.ref.entry_id)
    for state, references in (("active", ["hashes"]), ("all", ["the film", "hashes"])):
        some = run("entry", "export", bank, "--format", "jsonl", "--state", state)
        found = [json.loads(line)["reference"] for line in some.out.splitlines()]
        assert sorted(set(found)) == sorted(references)


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--format", "xml"], 2, "csv, jsonl"),
        (["--format", "vpdq"], 2, "needs --output"),
        (["--format", "csv", "--kind", "sha3"], 2, "pdq"),
        (["--format", "csv", "--state", "gone"], 2, "pending"),
        (["--format", "hashes"], 1, "one kind"),
        (["--format", "threatexchange", "--kind", "phash"], 1, "no place for PHASH"),
        (["--format", "csv", "--output", "/proc/nowhere/list.csv"], 1, "FILE_UNREADABLE"),
    ],
)
def test_what_cannot_be_exported_is_said(bank: str, more: list[str], code: int, told: str) -> None:
    """Somebody would wait for a list that never comes."""
    done = run("entry", "export", bank, *more)
    assert done.code == code
    assert told in " ".join((done.out + done.err).split())
    assert "Traceback" not in done.out + done.err
    assert run("entry", "export", "nowhere", "--format", "csv").code == 1


def test_an_export_goes_on_where_one_was_ended(bank: str, client: Client, tmp_path: Path) -> None:
    """A list of a night would begin anew in the morning, or have lines twice."""
    for number in range(3):
        client.add_entry_from_signals(
            bank, [signals_to_wire(signals(number))], reference=f"{number}"
        )
    file = tmp_path / "list.jsonl"
    command = ["entry", "export", bank, "--format", "jsonl", "-o", str(file)]
    assert run(*command).code == 0
    whole = file.read_text()
    first = next(iter(client.export_entries(bank)))
    # As a run leaves it that was killed in the middle of its second line.
    ended = ListFile(
        file,
        {
            "bank": client.get_bank(bank).bank_id,
            "format": "JSONL",
            "kinds": [],
            "state": "ACTIVE",
            "since": None,
        },
    )
    ended.write(whole.splitlines(keepends=True)[0])
    ended.keep(first.resume_token, {"entries": 1, "hashes": 1, "left_out": {}, "not_kept": {}})
    ended.write(whole.splitlines()[1][:20])
    ended.close()
    other = run(*command, "--kind", "pdq")
    assert other.code == 1
    assert "something else" in " ".join(other.err.split())
    done = run(*command, "--json")
    assert done.object["export"]["entries"] == 4
    assert "going on after 1 entries" in done.err
    assert file.read_text() == whole
    assert list(tmp_path.iterdir()) == [file]


# Options that every command takes


@pytest.mark.parametrize(
    "arguments",
    [
        ["bank", "list"],
        ["bank", "show"],
        ["entry", "list"],
        ["screening", "list"],
        ["screening", "show", "scr_x"],
        ["bank", "archive", "x"],
        ["entry", "withdraw", "x"],
    ],
    ids=" ".join,
)
def test_the_server_may_be_named_anywhere(
    monkeypatch: pytest.MonkeyPatch, server: RunningServer, arguments: list[str]
) -> None:
    """An option that works before a command and not after it is a trap."""
    expected = run(*arguments, "--json")
    monkeypatch.setenv("HASHMATCH_SERVER", NOWHERE)
    here = ["--server", server.address]
    before = run(*here, "--json", *arguments)
    after = run(*arguments, *here, "--json")
    # What is said later counts.
    both = run("--server", NOWHERE, *arguments, *here, "--json")
    for done in (before, after, both):
        assert (done.code, done.out) == (expected.code, expected.out)


def test_a_server_that_is_away_is_said_so(files: Path) -> None:
    """A script would hang, or print a traceback."""
    given = [files / "clean.png", files / "broken.png"]
    done = run("screen", "--server", NOWHERE, "--timeout", "0.3", *given, "--json")
    assert done.code == 1
    assert [each["file"] for each in done.objects] == [str(path) for path in given]
    assert {each["error"]["reason"] for each in done.objects} <= {"UNREACHABLE", "DEADLINE"}
    text = run("screen", "--server", NOWHERE, "--timeout", "0.3", *given)
    assert text.code == 1
    words = " ".join(text.err.split())
    assert words.count("(UNREACHABLE)") == 1
    assert "hashmatch serve" in words
    assert max(map(len, text.err.splitlines())) <= 80


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (["--workers", "0"], "CONFIG_INVALID"),
        (["--listen", "nonsense"], "CONFIG_INVALID"),
        (["--data", "/dev/null/folder"], "CONFIG_INVALID"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_server_that_cannot_start_says_why(option: list[str], reason: str) -> None:
    """Whoever mistyped a setting would get a traceback."""
    done = spawn("serve", *option, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["reason"] == reason
    assert b"Traceback" not in done.stderr


def test_the_doctor_finds_a_healthy_server(bank: str) -> None:
    """Somebody whose screenings are all INCONCLUSIVE would not know where to look."""
    done = run("doctor", "--json")
    assert done.code == 0
    checks = {each["check"]: each for each in done.objects}
    expected = "hashmatch python installed sandbox server access health blocklist"
    assert set(checks) == set(expected.split())
    assert all(each["ok"] for each in checks.values())
    text = run("doctor")
    assert text.code == 0
    assert "amiss" not in text.out


def test_the_doctor_finds_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise, for somebody who forgot to start it."""
    done = run("doctor", "--server", NOWHERE)
    assert done.code == 1
    assert "amiss server: " in done.out
    assert "hashmatch serve" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


# What is printed


def test_output_fits_a_terminal(bank: str, files: Path, client: Client) -> None:
    """A table would be torn apart on a terminal of the usual width."""
    long = "a-very-long-name." * 15
    client.add_entry(bank, files / "known.mkv", reference=long)
    client.update_bank(bank, label="\N{CJK UNIFIED IDEOGRAPH-4E00}" * 64)
    screened = client.screen(files / "again.mkv").screening_id
    file = files / ("name " * 40)
    file.write_bytes(clip([61, 62, 63], quality=6))
    for arguments in (
        ["bank", "list"],
        ["bank", "show"],
        ["entry", "list", "--bank", bank],
        ["screening", "list"],
        ["screening", "show", screened],
        ["screen", file],
        ["screen", files / ("missing " * 20)],
        ["doctor"],
    ):
        done = run(*arguments)
        for line in (done.out + done.err).splitlines():
            width = len(line) + sum(ord(letter) == 0x4E00 for letter in line)
            assert width <= 80, arguments
    # Ids can be copied whole.
    assert screened in run("screening", "list").out


ODD_NAMES = [
    "\x1b[2J\x1b]0;title\x07.png",
    "line\nbreak.png",
    "c1 \x9b31m.png",
    "right to left \u202egnp.png",
    "[bold red]markup[reset].png",
    ":smile:.png",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
@pytest.mark.parametrize("flag", [[], ["--json"]], ids=["text", "json"])
def test_a_file_name_steers_no_terminal(
    bank: str, tmp_path: Path, client: Client, name: str, flag: list[str]
) -> None:
    """An uploader could clear the screen of whoever screens the file, or fake a verdict."""
    (tmp_path / name).write_bytes(image(1))
    missing = tmp_path / f"missing {name}"
    done = run("screen", tmp_path / name, missing, *flag)
    added = run("entry", "add", "--bank", bank, tmp_path / name, missing, *flag)
    for each in (done, added):
        assert each.code == 1
        shown = each.out + each.err
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
        if flag:
            assert [Path(told["file"]).name for told in each.objects] == [name, missing.name]
    if not flag:
        letters = re.sub(r"\s+", "", done.out)
        plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
        assert re.sub(r"\s+", "", plain) in letters


@pytest.mark.parametrize("flag", [[], ["--json"]], ids=["text", "json"])
def test_a_file_name_may_be_any_bytes(bank: str, tmp_path: Path, flag: list[str]) -> None:
    """One odd name in a folder would end the screening of all of it."""
    name = os.fsencode(tmp_path) + b"/odd \xff\xfe.png"
    Path(os.fsdecode(name)).write_bytes(image(1))
    done = spawn("screen", name, os.fsencode(tmp_path) + b"/none \xff", *flag)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"NO_MATCH" in done.stdout
    if flag:
        first, second = [json.loads(line) for line in done.stdout.splitlines()]
        assert os.fsencode(first["file"]) == name
        assert second["error"]["reason"] == "FILE_UNREADABLE"


@pytest.mark.parametrize(
    "text", ["[/x]", "[bold]loud", "[link=http://a.test]here[/link]", ":skull:"]
)
def test_texts_from_outside_are_shown_as_they_are(files: Path, text: str) -> None:
    """A label that looks like markup would end a list, or hide what is in it."""
    name = f"bank-{new_id()[:8]}"
    assert run("bank", "create", name, "--action", "block", "--label", text).code == 0
    named = ("--reference", text, "--label", text)
    assert run("entry", "add", files / "known.mkv", "--bank", name, *named).code == 0
    for command in (["bank", "list"], ["entry", "list", "--bank", name], ["audit", "log"]):
        done = run(*command)
        assert done.code == 0, done.err
    # A narrow column shows how it begins.
    assert text[:3] in run("entry", "list", "--bank", name).out
    assert run("bank", "archive", name).code == 0


def test_a_table_is_plain_text_in_a_pipe(bank: str) -> None:
    """A script that reads the list would meet escape sequences."""
    done = spawn("bank", "list", "--limit", "100000")
    assert done.returncode == 0
    assert bank.encode() in done.stdout
    assert b"\x1b" not in done.stdout
    assert done.stderr == b""


def test_states_and_kinds_are_all_known_to_the_options() -> None:
    """A state or a kind of hash could not be asked for."""
    for state in EntryState:
        assert run("entry", "list", "--state", state.name.lower(), "--limit", "1").code == 0
    for kind in Kind:
        most = "" if kind.exact else f":{kind.largest_threshold}"
        name = f"kind-{new_id()[:8]}"
        done = run(
            "bank", "create", name, "--action", "block", "--kind", f"{kind.name}{most}", "--json"
        )
        assert done.object["bank"]["kinds"][0]["kind"] == f"KIND_{kind.name}"
        run("bank", "archive", name)


# The last: its bank makes the list of banks wide.
def test_a_bank_is_shown_with_all_that_decides(client: Client) -> None:
    """A curator could not see by which scores a bank blocks, or how an entry gets active."""
    made = client.create_bank(
        f"shown-{new_id()}",
        action=Action.REVIEW,
        label="what [b]it[/b] holds",
        thresholds={Kind.PDQ: 20, Kind.MD5: 0},
        activation=Activation.TWO_PERSON,
        policy=BankPolicy(mode=BankMode.SHADOW, traffic_percent=7, block_score=33, flood_limit=0),
    )
    text = run("bank", "show", made.name).out
    for each in (
        made.name, made.bank_id, "what [b]it[/b] holds", "review", "pdq:20", "md5", "two-person",
        "shadow", "7 %", "33", "none", made.etag,
    ):  # fmt: skip
        assert each in text
    assert max(map(len, text.splitlines())) <= 80
    assert run("bank", "show", made.bank_id, "--json").object["bank"]["name"] == made.name
    client.archive_bank(made.name)
