"""How an uploader alters a clip so that it is not found: every attack by a stable name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.robustness import mixing
from benchmarks.robustness.making import Attack, Material, Strength, Upload, frames, write

__all__ = ["ATTACKS", "attack"]

# Width to height, by what people call it.
_ASPECTS: Final = {
    "9:16": 9 / 16,
    "4:5": 4 / 5,
    "1:1": 1.0,
    "4:3": 4 / 3,
    "16:9": 16 / 9,
    "21:9": 21 / 9,
}

# A letterboxed clip is at most this part of the picture; else it would have hardly any bars.
_LARGEST_PART: Final = 0.85

# VP8's own choice of speed looks at the clock, and gives other bytes every time; a negative one
# is fixed.
_VP8: Final = {"deadline": "realtime", "cpu-used": "-8", "b": "500k"}
_VP9: Final = {"deadline": "realtime", "cpu-used": "8", "b": "500k"}
_HEVC: Final = {
    "preset": "ultrafast",
    "crf": "28",
    "x265-params": "log-level=none:pools=none:frame-threads=1:info=0",
}


def attack(
    name: str, source: Path, target: Path, rng: np.random.Generator, *, host: Path
) -> Strength:
    """Alters ``source`` and writes an upload; returns how strongly, as ``rng`` chose.

    ``target`` has the suffix that ``ATTACKS[name]`` says. ``host`` is a clip that is not listed:
    what the source is hidden in, by the attacks that hide it. The same arguments, with ``rng`` of
    the same seed, give the same bytes.
    """
    upload = ATTACKS[name].make(Material.of(source, host, rng))
    write(target, upload)
    return upload.strength


def _filtered(material: Material, filters: str, **strength: float | str) -> Upload:
    """The source through a libavfilter chain."""
    return Upload(frames(material.source, material.rate, filters), strength, material.rate)


def _reencode(material: Material) -> Upload:
    crf = int(material.between(34, 42))
    return Upload(
        frames(material.source, material.rate),
        {"crf": crf},
        material.rate,
        options={"preset": "veryfast", "crf": f"{crf}"},
    )


def _codec(material: Material, codecs: Mapping[str, Mapping[str, str]]) -> Upload:
    codec = str(material.rng.choice(sorted(codecs)))
    return Upload(
        frames(material.source, material.rate),
        {"codec": codec},
        material.rate,
        codec=codec,
        options=codecs[codec],
    )


def _frame_rate(material: Material) -> Upload:
    rate = Fraction(int(material.one_of(5, 8, 12, 15)))
    return Upload(frames(material.source, rate), {"fps": int(rate)}, rate)


def _scale(material: Material) -> Upload:
    side = int(material.between(120, 280))
    size = f"{side}:-2" if material.width >= material.height else f"-2:{side}"
    return _filtered(material, f"scale={size}", long_side=side)


def _stretch(material: Material) -> Upload:
    wider = material.one_of(material.between(0.7, 0.87), material.between(1.15, 1.43))
    return _filtered(material, f"scale=iw*{wider}:ih", wider=wider)


def _crop(material: Material, share: float) -> Upload:
    """Takes about ``share`` of the width and of the height off, more on one side than the other."""
    off = material.between(0.85 * share, 1.15 * share)
    left, top = material.between(0, off), material.between(0, off)
    filters = f"crop=iw*{1 - off}:ih*{1 - off}:iw*{left}:ih*{top}"
    return _filtered(material, filters, off=off, left=left, top=top)


def _border(material: Material, colour: str) -> Upload:
    share = material.between(0.05, 0.15)
    size = f"w=iw*{1 + 2 * share}:h=ih*{1 + 2 * share}:x=iw*{share}:y=ih*{share}"
    return _filtered(material, f"pad={size}:color={colour}", share=share)


def _letterbox(material: Material) -> Upload:
    """Bars that make the clip another aspect ratio."""
    own = material.width / material.height
    parts = {name: min(aspect / own, own / aspect) for name, aspect in _ASPECTS.items()}
    name = str(material.rng.choice([name for name in parts if parts[name] <= _LARGEST_PART]))
    width = max(material.width, round(material.height * _ASPECTS[name]))
    height = max(material.height, round(material.width / _ASPECTS[name]))
    filters = f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2"
    return _filtered(material, filters, aspect=name, part=round(parts[name], 3))


_TURNS: Final = {1: "transpose=clock", 2: "hflip,vflip", 3: "transpose=cclock"}


def _quarter_turn(material: Material) -> Upload:
    turns = int(material.one_of(1, 2, 3))
    return _filtered(material, _TURNS[turns], degrees=90 * turns)


def _rotation_tag(material: Material) -> Upload:
    """Stored on its side or upside down, with a display matrix by which players turn it back."""
    turns = int(material.one_of(1, 2, 3))
    return Upload(
        frames(material.source, material.rate, _TURNS[turns]),
        {"degrees": 90 * turns},
        material.rate,
        stored_turns=turns,
    )


def _tilt(material: Material) -> Upload:
    degrees = material.between(2, 6) * material.one_of(-1, 1)
    return _filtered(material, f"rotate={degrees}*PI/180", degrees=degrees)


def _colours(material: Material) -> Upload:
    hue = material.between(30, 150) * material.one_of(-1, 1)
    saturation = material.one_of(material.between(0.3, 0.7), material.between(1.4, 2.2))
    return _filtered(material, f"hue=h={hue}:s={saturation}", hue=hue, saturation=saturation)


def _gamma(material: Material) -> Upload:
    gamma = material.one_of(material.between(0.45, 0.7), material.between(1.4, 2.2))
    return _filtered(material, f"lutyuv=y=gammaval({gamma})", gamma=gamma)


def _grey_noise(material: Material) -> Upload:
    noise = int(material.between(10, 32))
    seed = int(material.rng.integers(1 << 20))
    return _filtered(material, f"hue=s=0,noise=c0s={noise}:c0f=t:c0_seed={seed}", noise=noise)


def _blur(material: Material) -> Upload:
    """Over up to a fiftieth of the long side, in standard deviations."""
    share = material.between(0.005, 0.02)
    sigma = round(share * max(material.width, material.height), 2)
    return _filtered(material, f"gblur=sigma={sigma}", sigma_share=share)


def _speed(material: Material) -> Upload:
    speed = material.one_of(material.between(0.8, 0.95), material.between(1.05, 1.25))
    return _filtered(material, f"setpts=PTS/{speed},fps={material.rate}", speed=speed)


def _trim(material: Material) -> Upload:
    """Loses its first and its last seconds."""
    start = material.between(0.1, 0.35)
    end = material.between(0.1, 0.35)
    kept = frames(
        material.source,
        material.rate,
        start_s=start * material.seconds,
        end_s=(1 - end) * material.seconds,
    )
    return Upload(kept, {"start": start, "end": end}, material.rate)


def _plain(filters: str) -> Callable[[Material], Upload]:
    """An attack that is always as strong."""
    return lambda material: _filtered(material, filters)


# Name -> attack, in the order of the report.
ATTACKS: Final[Mapping[str, Attack]] = {
    "reencode": Attack(_reencode),
    "codec_mp4": Attack(
        functools.partial(_codec, codecs={"libx265": _HEVC, "mpeg4": {"b": "600k"}})
    ),
    "codec_webm": Attack(
        functools.partial(_codec, codecs={"libvpx": _VP8, "libvpx-vp9": _VP9}), ".webm"
    ),
    "frame_rate": Attack(_frame_rate),
    "scale": Attack(_scale),
    "stretch": Attack(_stretch),
    "crop_10": Attack(functools.partial(_crop, share=0.1)),
    "crop_20": Attack(functools.partial(_crop, share=0.2)),
    "crop_40": Attack(functools.partial(_crop, share=0.4)),
    "border_black": Attack(functools.partial(_border, colour="black")),
    "border_white": Attack(functools.partial(_border, colour="white")),
    "letterbox": Attack(_letterbox),
    "blurred_background": Attack(mixing.blurred_background),
    "mirror": Attack(_plain("hflip")),
    "quarter_turn": Attack(_quarter_turn),
    "rotation_tag": Attack(_rotation_tag),
    "tilt": Attack(_tilt),
    "caption": Attack(mixing.caption),
    "logo": Attack(mixing.logo),
    "colours": Attack(_colours),
    "gamma": Attack(_gamma),
    "grey_noise": Attack(_grey_noise),
    "blur": Attack(_blur),
    "speed": Attack(_speed),
    "trim": Attack(_trim),
    "splice_3s": Attack(functools.partial(mixing.splice, seconds=3.0)),
    "splice_1s": Attack(functools.partial(mixing.splice, seconds=1.0)),
    "reverse": Attack(_plain("reverse")),
    "clean_intro": Attack(mixing.clean_intro),
    "duet": Attack(mixing.duet),
    "picture_in_picture": Attack(mixing.picture_in_picture),
}
