"""From a decoded plane to the pictures that viewers make of it: cropped, turned, tilted, halved."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type
from PIL import Image

from hashmatch.decoding.media.announced import Crop

__all__ = ["Geometry"]

Plane = npt.NDArray[Any]

_UNIT: Final = 1 << 16  # Of a display matrix; its last column counts in 2^30.
# A turn by less than a third of a degree, as rounding leaves it, is none.
_SLIGHT: Final = 0.005
# A tilted picture needs no more pixels to be hashed, whatever its matrix asks for.
_MAX_SIDE: Final = 1024

# Source: FFmpeg, libavutil/stereo3d.h.
_SIDE_BY_SIDE, _TOP_BOTTOM, _SEQUENCE, _CHECKERBOARD, _QUINCUNX, _LINES, _COLUMNS = range(1, 8)


class Geometry:
    """What is done to the frames of a stream, by its container and by the frame itself."""

    def __init__(
        self,
        frame: av.VideoFrame,
        beside: Mapping[Type, Any],
        crops: tuple[Crop, ...],
        tell: Callable[[str], None],
    ) -> None:
        """``beside``: what is beside the frame, by type; ``tell`` is told in a phrase of what is
        not done here.
        """
        self._crops = crops
        self._fields = frame.interlaced_frame
        self._matrix: npt.NDArray[np.float64] | None = None
        self._stereo = 0
        if beside:
            self._read(beside, tell)

    def _read(self, beside: Mapping[Type, Any], tell: Callable[[str], None]) -> None:
        if (raw := beside.get(Type.DISPLAYMATRIX)) is not None:
            a, b, u, c, d, v, _, _, _ = struct.unpack_from("=9i", bytes(raw))
            if u or v:
                tell("a display matrix with a perspective")
            matrix = np.array([[a, c], [b, d]], np.float64) / _UNIT
            scale = math.sqrt(abs(float(np.linalg.det(matrix))))
            if scale < 1e-4:
                tell("a display matrix that leaves nothing")
            else:
                self._matrix = matrix / scale
        if (raw := beside.get(Type.STEREO3D)) is not None:
            self._stereo = struct.unpack_from("=i", bytes(raw))[0]
            if self._stereo == _CHECKERBOARD:
                tell("two views in a checkerboard")

    def pictures(self, plane: Plane) -> Iterator[tuple[int, Plane]]:
        """Each picture that some viewer makes of a plane ``[h, w]``, with its number; number 0 is
        the plane as a whole, upright.
        """
        yield 0, self._upright(plane)
        height, width = plane.shape
        stored = [plane]
        for number, crop in enumerate(self._crops):
            within = plane[
                crop.top : max(0, height - crop.bottom), crop.left : max(0, width - crop.right)
            ]
            if within.size:
                stored.append(within)
                yield 16 + 8 * number, self._upright(within)
        for number, each in enumerate(stored):
            for kind, picture in enumerate(self._more(each), 1):
                yield 8 + 8 * number + kind, picture

    def _more(self, plane: Plane) -> Iterator[Plane]:
        if self._fields and len(plane) > 1:
            yield self._upright(plane[0::2])
            yield self._upright(plane[1::2])
        for half in self._views(plane):
            if half.size:
                yield self._upright(half)
        if self._is_tilted:
            yield from self._tilted(plane)

    def _views(self, plane: Plane) -> tuple[Plane, ...]:
        height, width = plane.shape
        if self._stereo in (_SIDE_BY_SIDE, _QUINCUNX):
            return plane[:, : width // 2], plane[:, width // 2 :]
        if self._stereo == _TOP_BOTTOM:
            return plane[: height // 2], plane[height // 2 :]
        if self._stereo == _LINES:
            return plane[0::2], plane[1::2]
        if self._stereo == _COLUMNS:
            return plane[:, 0::2], plane[:, 1::2]
        return ()

    @property
    def _is_tilted(self) -> bool:
        if self._matrix is None:
            return False
        straight, crossed = np.abs(np.diag(self._matrix)), np.abs(np.diag(self._matrix[::-1]))
        less, more = sorted((float(straight.max()), float(crossed.max())))
        return less > _SLIGHT * more

    def _upright(self, plane: Plane) -> Plane:
        """Mirrored and turned by quarters; as it is where the turn is none of those, as browsers
        leave it.
        """
        matrix = self._matrix
        if matrix is None or self._is_tilted:
            return plane
        if abs(matrix[0, 0]) < abs(matrix[0, 1]):
            plane = plane.T
            across, down = matrix[0, 1], matrix[1, 0]
        else:
            across, down = matrix[0, 0], matrix[1, 1]
        return plane[:: 1 if down > 0 else -1, :: 1 if across > 0 else -1]

    def _tilted(self, plane: Plane) -> Iterator[Plane]:
        """As FFmpeg turns it, within its own size; then all of it, as mpv and QuickTime do."""
        assert self._matrix is not None
        height, width = plane.shape
        smaller = min(1.0, _MAX_SIDE / max(height, width))
        size = max(1, round(width * smaller)), max(1, round(height * smaller))
        image = Image.fromarray(np.clip(np.rint(plane), 0, 255).astype(np.uint8)).resize(size)
        yield self._drawn(image, size)
        corners = np.abs(self._matrix) @ np.array(size, np.float64)
        most = max(corners)
        whole = tuple(max(1, round(float(side) * min(1.0, _MAX_SIDE / most))) for side in corners)
        yield self._drawn(image, (whole[0], whole[1]), scale=max(1.0, most / _MAX_SIDE))

    def _drawn(self, image: Image.Image, size: tuple[int, int], scale: float = 1.0) -> Plane:
        back = np.linalg.inv(self._matrix) * scale  # type: ignore[arg-type]
        middle = np.array(image.size) / 2 - back @ (np.array(size) / 2)
        (a, b), (c, d) = back
        data = tuple(map(float, (a, b, middle[0], c, d, middle[1])))
        drawn = image.transform(
            size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=16
        )
        return np.asarray(drawn)
