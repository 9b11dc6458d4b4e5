"""Builds the wheel, installs it into a clean environment and tries it: ``python -m tests.wheel``.

First as a pipeline installs it (the client alone), then as an operator does (``[server]``): what
works in the tree but was left out of the package shows here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from numba.core.caching import _CacheLocator

ROOT = Path(__file__).resolve().parent.parent

# Compiled by the tests, and by `make demo`.
KERNELS = ROOT / ".cache" / "numba"

# What must not be needed by a pipeline.
SERVER_ONLY = "alembic av imagehash numba numpy pillow sqlalchemy structlog".split()


def run(*command: str | Path, **options: str) -> str:
    """Runs a command outside the tree; its output. Raises ``CalledProcessError``."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tempfile.gettempdir(),
        env={**environment, **options},
    )
    return done.stdout


def constraints(folder: Path) -> Path:
    """The lock without its hashes, so that pip takes the same versions for a wheel."""
    lock = (ROOT / "requirements.lock").read_text()
    lines = re.findall(r"^([\w.-]+==[^\s\\]+(?: ; [^\\\n]+)?)", lock, re.MULTILINE)
    path = folder / "constraints.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def pip(programs: Path, *command: str | Path) -> str:
    """Runs this environment's pip on that of ``programs``; its output."""
    return run(sys.executable, "-m", "pip", "--python", programs / "python", *command)


def install(programs: Path, what: str, pinned: Path) -> None:
    """Adds ``what`` to an environment. Most of it is never imported: nothing is compiled before."""
    pip(programs, "install", "--quiet", "--no-compile", "--constraint", pinned, what)


def take_kernels(programs: Path, target: Path) -> None:
    """Puts kernels that were compiled for the tree into ``target``, where an environment's numba
    looks for its own: compiling them takes half a minute. Kernels that are missing, or whose source
    numba finds to be another, are compiled all the same.
    """
    show = "import hashmatch; print(hashmatch.__path__[0])"
    installed = Path(run(programs / "python", "-c", show).strip())
    for module in (ROOT / "hashmatch").rglob("__init__.py"):
        there = installed / module.relative_to(ROOT / "hashmatch")
        # Numba has a folder of kernels for each folder of modules.
        of_tree, of_wheel = (
            _CacheLocator.get_suitable_cache_subpath(str(each))  # type: ignore[no-untyped-call]
            for each in (module, there)
        )
        if (KERNELS / of_tree).is_dir():
            shutil.copytree(KERNELS / of_tree, target / of_wheel)


def try_client(programs: Path) -> None:
    """The client alone: imports, prints help, and names what the server would need."""
    run(programs / "python", "-c", "import hashmatch.client, hashmatch.v1.common_pb2")
    installed = {
        each["name"].lower() for each in json.loads(pip(programs, "list", "--format=json"))
    }
    unwanted = installed & set(SERVER_ONLY)
    assert not unwanted, f"a pipeline should not need {unwanted}"
    assert "screen" in run(programs / "hashmatch", "--help")
    refused = subprocess.run(
        [programs / "hashmatch", "serve", "--json"], check=False, capture_output=True, text=True
    )
    assert refused.returncode == 1, refused
    assert json.loads(refused.stdout)["error"]["reason"] == "NOT_INSTALLED"


def try_server(programs: Path, folder: Path) -> None:
    """The server: starts, is found in order by doctor, and screens."""
    command = [programs / "hashmatch", "serve", "--json", "--data", folder / "data"]
    take_kernels(programs, folder / "kernels")
    server = subprocess.Popen(
        [*map(str, command), "--listen", "127.0.0.1:0", "--workers", "1"],
        stdout=subprocess.PIPE,
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels")},
        text=True,
    )
    try:
        assert server.stdout is not None
        started = json.loads(server.stdout.readline())
        picture = folder / "picture.png"
        picture.write_bytes(_picture())
        hashmatch = programs / "hashmatch"
        options = {"HASHMATCH_SERVER": started["listening"]}
        options["HASHMATCH_TOKEN"] = started["first_token"]
        roles = [f"--role={role}" for role in ("admin", "curator", "pipeline")]
        made = run(hashmatch, "caller", "create", "all-in-one", *roles, "--json", **options)
        options["HASHMATCH_TOKEN"] = json.loads(made)["token"]
        run(hashmatch, "bank", "create", "wheel", "--action", "block", **options)
        run(hashmatch, "entry", "add", "--bank", "wheel", picture, **options)
        run(hashmatch, "doctor", **options)
        screened = json.loads(run(hashmatch, "screen", "--json", picture, **options))
        assert screened["screening"]["verdict"] == "VERDICT_BLOCK", screened
    finally:
        server.terminate()
        server.wait(timeout=60)


def _picture() -> bytes:
    """A grey PNG of 64 x 64 pixels with enough structure to be hashed."""
    import struct
    import zlib

    rows = b"".join(
        b"\0" + bytes((x * x + 3 * y * x + (y << 3)) % 251 for x in range(64)) for y in range(64)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def main() -> None:
    """Builds, installs, tries."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
        (wheel,) = folder.glob("hashmatch-*.whl")
        pinned = constraints(folder)
        print(f"built {wheel.name}", flush=True)
        venv.create(folder / "clean")
        programs = folder / "clean" / "bin"
        install(programs, str(wheel), pinned)
        try_client(programs)
        print("the client works without the server's packages", flush=True)
        install(programs, f"{wheel}[server]", pinned)
        try_server(programs, folder)
        print("the server works from the wheel", flush=True)


if __name__ == "__main__":
    main()
