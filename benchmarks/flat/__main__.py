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
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.flat.evaluate import Counts, evaluate
from benchmarks.flat.pictures import RGB, SORTS

__all__ = ["main"]

_PICTURES: Final = 650  # Some are not flat; some 500 are.
_SEED: Final = 20_261_130
_LONG_SIDE: Final = 640
_AT_FRAMES: Final = (12, 90)


def main() -> None:
    """The command. Photographs are frames of the clips in the folder that HASHMATCH_CORPUS names;
    without it, sorts that are made of them are left out.
    """
    parser = argparse.ArgumentParser(description="What becomes of flat pictures.")
    parser.add_argument("--pictures", type=int, default=_PICTURES, help="to draw of all sorts")
    arguments = parser.parse_args()
    folder = os.environ.get("HASHMATCH_CORPUS")
    photographs = list(_photographs(Path(folder))) if folder else []
    console = Console(highlight=False)
    progress = Console(stderr=True)

    def tell(done: int) -> None:
        if done % 50 == 0:
            progress.print(f"{done} pictures")

    report = evaluate(-(-arguments.pictures // len(SORTS)), photographs, seed=_SEED, tell=tell)
    console.print(_table(report.by_sort))
    console.print(_table(report.by_encoding))
    for line in (*(f"missed: {each}" for each in report.missed), *report.wrong):
        console.print(line)


def _photographs(folder: Path) -> Iterator[RGB]:
    for path in sorted(folder.iterdir()):
        try:
            with av.open(str(path)) as container:
                for number, frame in enumerate(container.decode(video=0)):
                    if number in _AT_FRAMES:
                        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
                        image.thumbnail((_LONG_SIDE, _LONG_SIDE))
                        yield np.asarray(image)
                    if number == max(_AT_FRAMES):
                        break
        except (av.error.FFmpegError, IndexError):
            continue  # No film.


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
