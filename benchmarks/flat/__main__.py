"""``python -m benchmarks.flat``: what is held, found and accused of pictures that are flat."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.flat.evaluate import Counts, evaluate
from benchmarks.flat.pictures import RGB, SORTS
from hashmatch.engine.hashing import pdq

__all__ = ["main"]

_PICTURES: Final = 650  # Some are not flat; some 500 are.
_SEED: Final = 20_261_130
_LONG_SIDE: Final = 640
_AT_FRAMES: Final = (12, 90)

# Frames as near as this show the same, see `engine.policy.calibration`.
_SAME_BITS: Final = 62


def main() -> None:
    """The command. Photographs are frames of the clips in the folder that HASHMATCH_CORPUS names;
    without it, sorts that are made of them are left out.
    """
    parser = argparse.ArgumentParser(description="What becomes of flat pictures.")
    parser.add_argument("--pictures", type=int, default=_PICTURES, help="to draw of all sorts")
    parser.add_argument("--seed", type=int, default=_SEED, help="by which they are drawn")
    arguments = parser.parse_args()
    folder = os.environ.get("HASHMATCH_CORPUS")
    photographs = _halves(list(_photographs(Path(folder)))) if folder else ([], [])
    console = Console(highlight=False)
    progress = Console(stderr=True)

    def tell(done: int) -> None:
        if done % 50 == 0:
            progress.print(f"{done} pictures")

    report = evaluate(
        -(-arguments.pictures // len(SORTS)), photographs, seed=arguments.seed, tell=tell
    )
    console.print(_table(report.by_sort))
    console.print(_table(report.by_encoding))
    for line in (*(f"missed: {each}" for each in report.missed), *report.wrong):
        console.print(line)


def _halves(of_films: list[list[RGB]]) -> tuple[list[RGB], list[RGB]]:
    """Frames of films, one list for each, in two halves of which no film is in both: films that
    show the same by some frame are of one family.
    """
    families: list[list[RGB]] = []
    hashes: list[set[bytes]] = []
    for frames in of_films:
        grids = pdq.reduced(np.stack([_grey(frame) for frame in frames]))
        turned = {digest.tobytes() for each in pdq.of_reduced(grids)[0] for digest in each}
        alike = [number for number, own in enumerate(hashes) if _are_near(own, turned)]
        joined = [*frames, *(frame for number in alike for frame in families[number])]
        hashes = [own for number, own in enumerate(hashes) if number not in alike] + [
            turned.union(*(hashes[number] for number in alike))
        ]
        families = [own for number, own in enumerate(families) if number not in alike] + [joined]
    even, odd = families[::2], families[1::2]
    return [frame for own in even for frame in own], [frame for own in odd for frame in own]


def _grey(frame: RGB) -> npt.NDArray[np.float32]:
    """In one size, so that frames of all films are hashed at once."""
    return np.asarray(Image.fromarray(frame).convert("L").resize((256, 256)), np.float32)


def _are_near(some: set[bytes], others: set[bytes]) -> bool:
    one, other = (
        np.frombuffer(b"".join(each), np.uint64).reshape(-1, 4) for each in (some, others)
    )
    distance = np.bitwise_count(one[:, None] ^ other[None]).sum(-1)
    return bool(distance.min() <= _SAME_BITS)


def _photographs(folder: Path) -> Iterator[list[RGB]]:
    """Some frames of each film."""
    for path in sorted(folder.iterdir()):
        frames: list[RGB] = []
        try:
            with av.open(str(path)) as container:
                for number, frame in enumerate(container.decode(video=0)):
                    if number in _AT_FRAMES:
                        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
                        image.thumbnail((_LONG_SIDE, _LONG_SIDE))
                        frames.append(np.asarray(image))
                    if number == max(_AT_FRAMES):
                        break
        except (av.error.FFmpegError, IndexError):
            continue  # No film.
        if frames:
            yield frames


def _table(counts: dict[str, Counts]) -> Table:
    table = Table(box=None, pad_edge=False)
    names = [each.name for each in fields(Counts)]
    table.add_column("")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    total = {name: sum(getattr(each, name) for each in counts.values()) for name in names}
    for sort, each in counts.items():
        table.add_row(sort, *(f"{getattr(each, name)}" for name in names))
    table.add_row("all", *(f"{total[name]}" for name in names))
    return table


if __name__ == "__main__":
    main()
