"""Re-encoded clips that are kept from one run of the tests to the next."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import av

from fixtures import transcode as encoder

__all__ = ["transcoded"]

_KEPT = Path(__file__).resolve().parent.parent / ".cache" / "transcodes"


def transcoded(source: Path, **arguments: Any) -> Path:
    """An MP4 file that `fixtures.transcode.transcode` makes of a clip, not to be changed. Made once
    for the same bytes, arguments, encoder and script; several processes may ask at once.
    """
    state = hashlib.sha256(source.read_bytes())
    state.update(Path(encoder.__file__).read_bytes())
    state.update(repr((av.__version__, av.library_versions, sorted(arguments.items()))).encode())
    target = _KEPT / f"{state.hexdigest()}.mp4"
    if not target.exists():
        _KEPT.mkdir(parents=True, exist_ok=True)
        making = target.with_name(f"{os.getpid()}-{target.name}")
        encoder.transcode(source, making, **arguments)
        making.rename(target)
    return target
