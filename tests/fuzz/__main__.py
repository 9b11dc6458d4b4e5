"""``python -m tests.fuzz TARGET --seconds N``: tries targets, led by the code's coverage.

Goes on after a fault, to find others. What was found lies in ``.cache/fuzz/TARGET``: the inputs
that reach different code, and for each fault the shortest input that shows it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_KEPT: Final = _ROOT / "tests" / "data" / "fuzz"

# Of one input. The slowest takes some ms; compiled code that never ends is found by this.
_LONGEST_SECONDS: Final = 20

# What is compiled cannot be led by what it runs through.
_COMPILED: Final = [
    "hashmatch.engine.hashing.pdq",
    "hashmatch.engine.index.bands_kernels",
    "hashmatch.engine.index.bits",
    "hashmatch.engine.index.scan",
]


def main() -> int:
    """The command; 0 if no fault was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="one after the other (all)")
    parser.add_argument("--seconds", type=int, default=60, help="for how long, each (60)")
    parser.add_argument("--input", type=Path, metavar="FILE", help="try this one alone, once")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # Compiled kernels are kept where the Makefile and the tests have them.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(_ROOT / ".cache" / "numba"))
    if arguments.inside:
        return _inside(arguments.targets[0], arguments.seconds)

    # Not before `_inside`, where it is imported in another way.
    from tests.fuzz.targets import TARGETS

    targets = arguments.targets or list(TARGETS)
    for target in targets:
        if target not in TARGETS:
            parser.error(f"{target}: no such target; there are {', '.join(TARGETS)}")
    if arguments.input is not None:
        for target in targets:
            TARGETS[target].run(arguments.input.read_bytes())
        print("no fault")
        return 0
    return max(_fuzz(each, arguments.seconds, TARGETS[each].seeds()) for each in targets)


def _fuzz(target: str, seconds: int, seeds: list[bytes]) -> int:
    folder = _ROOT / ".cache" / "fuzz" / target
    corpus, faults = folder / "corpus", folder / "faults"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds += [path.read_bytes() for path in _files(_KEPT / target)]
    # What was found before is tried again.
    seeds += [path.read_bytes() for path in _files(faults)]
    shutil.rmtree(faults, ignore_errors=True)
    faults.mkdir()
    for seed in seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = {word for seed in seeds for word in re.findall(rb"[A-Za-z_]{3,}", seed)}
    (folder / "words").write_text("".join(f'"{word.decode()}"\n' for word in sorted(words)))

    command = [sys.executable, "-m", "tests.fuzz", target, "--seconds", str(seconds), "--inside"]
    with subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            # It says so of every module, and of every input that is a byte shorter than another.
            if not re.match(rb"INFO: Instr|#\d+\s+(NEW|REDUCE|RELOAD) ", line):
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
    ended = process.returncode
    found = list(_files(faults))
    for path in found:
        shown = path.relative_to(_ROOT)
        print(f"\n{target}: a fault: {shown}")
        print(f"  python -m tests.fuzz {target} --input {shown}")
    if not found and ended:
        print(f"\n{target}: ended with {ended}, and no input was saved")
    return 1 if found or ended else 0


def _files(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir()) if folder.is_dir() else [])


def _inside(target: str, seconds: int) -> int:
    """In a process of its own, because the fuzzer ends it, as compiled code may."""
    import atheris  # Nobody else needs it.

    with atheris.instrument_imports(include=["hashmatch"], exclude=_COMPILED):
        from tests.fuzz.targets import TARGETS, mutated

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return mutated(data, rng)[:longest]
        changed: bytes = atheris.Mutate(data, longest)
        return changed

    folder = _ROOT / ".cache" / "fuzz" / target
    for seed in TARGETS[target].seeds():
        TARGETS[target].run(seed)  # So that kernels are compiled before the clock runs.
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={_LONGEST_SECONDS}",
        f"-artifact_prefix={folder / 'faults'}/",
        f"-dict={folder / 'words'}",
        "-print_final_stats=1",
    ]
    atheris.Setup(
        [sys.argv[0], str(folder / "corpus"), *options],
        noting(TARGETS[target].run, folder / "faults"),
        custom_mutator=mutate,
    )
    atheris.Fuzz()
    return 0  # Not reached.


def noting(run: Callable[[bytes], None], faults: Path) -> Callable[[bytes], None]:
    """Saves an input that shows a fault under the fault's name, if it is the shortest so far."""
    shortest: dict[str, int] = {}

    def noted(data: bytes) -> None:
        try:
            run(data)
        except Exception as error:
            name = _name(error)
            if len(data) < shortest.get(name, sys.maxsize):
                if name not in shortest:
                    print(f"a fault: {name}: {error}", file=sys.stderr)
                shortest[name] = len(data)
                (faults / name).write_bytes(data)

    return noted


def _name(error: Exception) -> str:
    """The sort of an error and the innermost of our own lines that it came by."""
    places = [
        (Path(code.co_filename), line)
        for code, line in _calls(error.__traceback__)
        if Path(code.co_filename).is_relative_to(_ROOT)
        and ".venv" not in Path(code.co_filename).parts
    ]
    path, line = places[-1]
    return f"{type(error).__name__}-{path.stem}-{line}"


def _calls(trace: TracebackType | None) -> Iterable[tuple[Any, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code, trace.tb_lineno
        trace = trace.tb_next


if __name__ == "__main__":
    sys.exit(main())
