"""Writes down the protos of a release: ``python -m tests.data.release``.

Run once for each version of pyproject.toml, right before it is released; what is written is never
written again. `tests.test_protos` compares every later state of the protos with it.
"""

from __future__ import annotations

import tempfile
import tomllib
from importlib import resources
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(__file__).resolve().parent


def describe(*, comments: bool) -> FileDescriptorSet:
    """The protos as descriptors, with their comments if asked for."""
    include = resources.files("grpc_tools") / "_proto"
    protos = sorted((ROOT / "protos").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "set.binpb"
        arguments = ["protoc", f"-I{ROOT / 'protos'}", f"-I{include}"]
        arguments += [f"--descriptor_set_out={target}", *map(str, protos)]
        if comments:
            arguments.append("--include_source_info")
        if protoc.main(arguments):
            raise SystemExit("protoc failed")
        return FileDescriptorSet.FromString(target.read_bytes())


def main() -> None:
    """Writes the descriptors of the present version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    target = FOLDER / f"released_v{version.replace('.', '_')}.binpb"
    target.write_bytes(describe(comments=False).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
