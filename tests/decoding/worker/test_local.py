"""What is made of a file, without a server."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from fixtures.transcode import transcode
from hashmatch import cli
from hashmatch.decoding.media.storyboard import Thumbnail, draw, key_frame_times
from hashmatch.decoding.worker.local import look
from hashmatch.engine.sampling.frames import Why
from hashmatch.model.signals import view_code
from hashmatch.model.verdicts import Kind, Part, VerdictReason
from tests.support import clip


def run(*arguments: str | Path) -> Result:
    """Runs a command in this process."""
    return CliRunner().invoke(cli.app, [str(each) for each in arguments], env={"COLUMNS": "80"})


@pytest.fixture(scope="module")
def clip_of_coffee(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a moving clip."""
    path = tmp_path_factory.mktemp("coffee") / "coffee.mp4"
    transcode(media / "clips" / "pan_coffee.mp4", path, gop=25, end_s=3)
    return path


def test_what_is_found_is_what_an_upload_would_be_searched_by(clip_of_coffee: Path) -> None:
    """Whoever looks for why something was not found would be shown something else."""
    path = clip_of_coffee
    found = look(path, (Kind.PDQ, Kind.PHASH), pictures=True)
    by_kind = {each.kind: each for each in found.signals}
    assert found.done.coverage.complete
    times = [each.pts_ms for each in found.chosen]
    assert by_kind[Kind.PHASH].pts_ms.tolist() == times
    whole = by_kind[Kind.PDQ].view == view_code(Part.FULL)
    assert by_kind[Kind.PDQ].pts_ms[whole].tolist() == times
    sha256 = hashlib.sha256(path.read_bytes()).digest()
    assert by_kind[Kind.SHA256].digests.tobytes() == sha256
    costs = found.tally.costs
    assert min(costs.demux_s, costs.decode_s, costs.scale_s, costs.hash_s) > 0
    assert set(key_frame_times(path)) >= {each.pts_ms for each in found.chosen if each.key}


def test_a_look_is_repeated_by_its_seed(clip_of_coffee: Path, media: Path) -> None:
    """Whoever looks for what was missed would be shown other frames than were looked at."""
    path = clip_of_coffee
    first = look(path)
    again = look(path, seed=first.seed)
    assert again.to_json() == {**first.to_json(), "costs": again.to_json()["costs"]}
    done = run("hash", path, "--json", "--seed", f"{first.seed:032X}")
    assert json.loads(done.stdout)["seed"] == f"{first.seed:032x}"
    assert look(media / "images" / "coffee.png").seed != first.seed
    for text in ("12", "0x" + "1" * 30, "g" * 32, "+" + "1" * 31, "1" * 33):
        assert run("hash", path, "--seed", text).exit_code == 2


@pytest.mark.parametrize(("as_entry", "most"), [(False, 48), (True, 224)])
def test_squares_are_hashed_once_a_second(as_entry: bool, most: int, clip_of_coffee: Path) -> None:
    """An index of some thousand entries would take all memory, or a second go by unseen."""
    path = clip_of_coffee
    kinds = (Kind.PDQ, Kind.PDQ_PATCH)
    found = look(path, kinds, as_entry=as_entry, turns=not as_entry)
    (squares,) = [each for each in found.signals if each.kind is Kind.PDQ_PATCH]
    times, counts = np.unique(squares.pts_ms, return_counts=True)
    assert np.diff(times).max() <= 1000
    assert 10 < counts.max() <= most
    if as_entry:
        assert np.diff(times)[:-1].min() >= 600  # The last frame has them in any case.


def test_an_entry_is_looked_at_more_closely(clip_of_coffee: Path) -> None:
    """An entry would be shown as thin as an upload, and its maker be led astray."""
    path = clip_of_coffee
    upload, entry = look(path, seed=1), look(path, as_entry=True)
    assert len(entry.signals[0]) > 1.5 * len(upload.signals[0])
    assert entry.done.coverage.frames_decoded > upload.done.coverage.frames_decoded
    assert len(look(path, turns=True, seed=1).signals[0]) == 8 * len(upload.signals[0])


def test_the_command_prints_json_for_machines(media: Path) -> None:
    """A script could not read it."""
    path = media / "images" / "coffee.png"
    broken = media / "broken" / "truncated.mp4"
    broken = broken if broken.exists() else next((media / "broken").iterdir())
    done = run("hash", "--json", path, broken)
    assert done.exit_code == 0
    image, damaged = map(json.loads, done.stdout.splitlines())
    assert image["file"] == str(path)
    assert {each["kind"] for each in image["signals"]} == {"PDQ", "SHA256", "SHA1", "MD5"}
    assert [len(each["digest"]) for each in image["signals"]] == [64, 64, 40, 32]
    assert set(image["costs"]) == {"demux_s", "decode_s", "scale_s", "hash_s"}
    assert image["coverage"]["complete"]
    assert damaged["reasons"]
    assert damaged["reasons"][0]["code"] in VerdictReason.__members__


def test_the_command_prints_lines_that_fit_for_people(clip_of_coffee: Path) -> None:
    """A hash broken over two lines cannot be copied."""
    done = run("hash", clip_of_coffee)
    assert done.exit_code == 0
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "decode " in done.stdout
    found = look(clip_of_coffee)
    assert found.signals[0].digests[0].tobytes().hex() in done.stdout


@pytest.mark.parametrize("command", [["hash"], ["storyboard", "-o", "board.png"]])
def test_a_file_that_is_not_there(tmp_path: Path, command: list[str]) -> None:
    """A typing error would look like a crash, or like a file without frames."""
    done = run(*command, tmp_path / "nothing.mp4")
    assert done.exit_code == 1
    assert "FILE_UNREADABLE" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["clips/all_intra.mp4", "clips/vp9.webm", "images/coffee.png"])
def test_a_storyboard_is_drawn(media: Path, tmp_path: Path, name: str) -> None:
    """Nobody could see which frames were chosen."""
    board = tmp_path / "board.png"
    done = run("storyboard", media / name, "-o", board, "--seed", f"{1:032x}", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["frames"] == len(look(media / name, pictures=True, seed=1).chosen)
    with Image.open(board) as drawn:
        assert drawn.width > 500
        colours = {colour for _, colour in drawn.convert("RGB").getcolors(1 << 24) or []}
    assert (0x22, 0x88, 0x33) in colours  # The first frame.


def test_a_storyboard_that_cannot_be_written(media: Path, tmp_path: Path) -> None:
    """A full disk, or a folder that is not there, would end in a traceback."""
    board = tmp_path / "no" / "board.png"
    done = run("storyboard", media / "images" / "coffee.png", "-o", board)
    assert done.exit_code == 1
    assert "FILE_UNREADABLE" in done.stderr


def test_key_frames_and_scene_changes_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board would not tell why its frames are there."""
    # Of uploads that this process has decoded before, Pillow still has their limit.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    picture = Image.fromarray(np.full((90, 160), 200, np.uint8))
    whys = [Why.START, Why.CHANGE, Why.GAP, Why.END]
    chosen = [Thumbnail(i * 1000, picture, why, key=i == 0) for i, why in enumerate(whys)]
    boards = []
    for keys in ([0], [0, 1500]):
        draw(tmp_path / "board.png", chosen, keys, 4000)
        with Image.open(tmp_path / "board.png") as drawn:
            boards.append(np.asarray(drawn.convert("RGB")).copy())
    for colour in ((0x22, 0x88, 0x33), (0xCC, 0x33, 0x11), (0x44, 0x77, 0xAA)):
        assert (boards[0] == colour).all(-1).any()
    assert (boards[0] != boards[1]).any()
    draw(tmp_path / "empty.png", [], [], 0)
    many = [Thumbnail(i, picture, Why.GAP, key=False) for i in range(1000)]
    draw(tmp_path / "many.png", many, [], 1000)
    with Image.open(tmp_path / "many.png") as drawn:
        assert drawn.height < 6000


def test_key_frames_of_what_is_no_video(tmp_path: Path) -> None:
    """An image, or a broken file, would have no board."""
    still = tmp_path / "still"
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    for data in (b"", b"nothing", buffer.getvalue()):
        still.write_bytes(data)
        assert len(key_frame_times(still)) <= 1
    video = tmp_path / "video.mkv"
    video.write_bytes(clip([1, 2, 3]))
    assert key_frame_times(video) == [0, 1000, 2000]
