"""Versions of what looks at media: they belong to a screening, as those of the hashes do.

A stored screening that was seen by another version is not used again for the same bytes, and if
nothing matches it is INCONCLUSIVE when it is confirmed. So raise a version with every change after
which a file may show other frames, parts or pixels, however few:
`tests/decoding/media/test_versions.py` fails if what it knows of that has changed and the version
has not. Where other digests come of the same
pixels, `engine.hashing.versions` has the version to raise.
"""

from __future__ import annotations

import hashlib
from typing import Final

import av
import PIL
import pylibjxl
from PIL import features

__all__ = ["DECODER_VERSION", "SAMPLER_VERSION", "VIEWS_VERSION", "look_version"]

# Raised when the same frame of a file may come out as other luma, or other frames of it come out at
# all: formats, layers, colour, orientation, clean aperture, order, damage (`decoding.media`).
DECODER_VERSION: Final = 4  # 4: textures, documents, light and other uncommon formats.

# Raised when other frames of a media may be decoded, looked at or kept, or a seed chooses others
# (`engine.sampling.packets`, `frames`, `densities`; `decoding.media.track`, `access`).
SAMPLER_VERSION: Final = 4

# Raised when other parts of a frame may be hashed: what lies within borders, insets, where squares
# are sought and how often (`engine.sampling.views`, `insets`; `decoding.worker.inspect`).
VIEWS_VERSION: Final = 3  # 2: qualities of flat frames are graded; 3: readings of unsteady ones.

# What Pillow decodes with, as it names it; others of its features draw letters and windows.
_OF_PILLOW: Final = (
    "avif",
    "jpg",
    "jpg_2000",
    "libjpeg_turbo",
    "libtiff",
    "littlecms2",
    "mozjpeg",
    "webp",
    "zlib",
    "zlib_ng",
)

# Of SHA-256, so much tells two sets of libraries apart.
_DIGEST_DIGITS: Final = 12


def look_version() -> str:
    """Everything that decides what is seen of a file, in a line of less than 200 characters.

    Equal texts see the same. Libraries that are too many to name are digested at its end.
    """
    libraries = {
        **{name: f"{version}" for name, version in av.library_versions.items()},
        **{name: f"{features.version(name)}" for name in _OF_PILLOW},
        "libjxl": ".".join(map(str, pylibjxl.version().values())),
    }
    told = ", ".join(f"{name} {version}" for name, version in sorted(libraries.items()))
    digest = hashlib.sha256(told.encode()).hexdigest()[:_DIGEST_DIGITS]
    return (
        f"decoder {DECODER_VERSION}, sampler {SAMPLER_VERSION}, views {VIEWS_VERSION}, "
        f"av {av.__version__}, ffmpeg {av.ffmpeg_version_info}, pillow {PIL.__version__}, "
        f"libraries {digest}"
    )
