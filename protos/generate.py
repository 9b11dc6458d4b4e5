"""Generates ``hashmatch/v1`` from the protos: ``python -m protos.generate [--check]``."""

from __future__ import annotations

import filecmp
import os
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("hashmatch/v1")


def generate(target: Path) -> None:
    """Writes the generated modules below ``target``. Raises ``SystemExit`` if protoc fails."""
    # protoc finds its plugins, which the same environment brings, by PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    include = resources.files("grpc_tools") / "_proto"
    protos = sorted((ROOT / "protos" / PACKAGE).glob("*.proto"))
    services = [proto for proto in protos if proto.stem.endswith("_service")]
    for files, outputs in (
        (protos, ("python_out", "mypy_out")),
        (services, ("grpc_python_out", "mypy_grpc_out")),
    ):
        arguments = ["protoc", f"-I{ROOT / 'protos'}", f"-I{include}"]
        arguments += [
            f"--{output}={'quiet:' if 'mypy' in output else ''}{target}" for output in outputs
        ]
        if protoc.main([*arguments, *map(str, files)]):
            raise SystemExit("protoc failed")


def stale() -> list[str]:
    """Names of generated modules that are not what the protos give."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, kept = Path(folder) / PACKAGE, ROOT / PACKAGE
        names = {path.name for path in fresh.iterdir()}
        names |= {path.name for path in kept.iterdir() if "_pb2" in path.name}
        _, different, missing = filecmp.cmpfiles(fresh, kept, names, shallow=False)
    return sorted(different + missing)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if names := stale():
            raise SystemExit(f"stale, run 'make protos': {', '.join(names)}")
    else:
        generate(ROOT)
