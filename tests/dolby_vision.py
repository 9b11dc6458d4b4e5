"""Metadata of Dolby Vision, bit by bit. Source: ETSI GS CCM 001, 5.3."""

from __future__ import annotations

from collections.abc import Sequence

from tests.films import nal_unit

__all__ = ["reshaped"]

_DENOMINATOR_BITS = 23
_DEPTH = 8


class _Bits:
    """A string of bits."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, width: int) -> None:
        self.text += f"{value:0{width}b}"

    def golomb(self, value: int) -> None:
        """An unsigned number of the order 0."""
        self.text += "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"

    def signed_golomb(self, value: int) -> None:
        self.golomb(2 * value - 1 if value > 0 else -2 * value)

    def align(self) -> None:
        self.text += "0" * (-len(self.text) % 8)

    def content(self) -> bytes:
        return int(self.text, 2).to_bytes(len(self.text) // 8, "big")


def _check_sum(data: bytes) -> int:
    """CRC-32 as MPEG-2 has it."""
    check = 0xFFFFFFFF
    for each in data:
        check ^= each << 24
        for _ in range(8):
            check = (check << 1 ^ (0x04C11DB7 if check >> 31 else 0)) & 0xFFFFFFFF
    return check


def reshaped(pivots: Sequence[int], pieces: Sequence[tuple[float, float]]) -> bytes:
    """A unit of HEVC that reshapes a frame of 8 bits: between each two ``pivots`` (levels, of which
    there is one more than ``pieces``) lightness is ``a + b * level``, of 0 to 1.
    """
    bits = _Bits()
    bits.put(2, 6)  # rpu_type
    bits.put(18, 11)  # rpu_format
    bits.put(1, 4)  # vdr_rpu_profile
    bits.put(0, 4)
    bits.put(1, 1)  # vdr_seq_info_present_flag
    bits.put(0, 1)
    bits.put(0, 2)  # coef_data_type: fixed point
    bits.golomb(_DENOMINATOR_BITS)
    bits.put(1, 2)  # vdr_rpu_normalized_idc
    bits.put(0, 1)  # bl_video_full_range_flag
    bits.golomb(_DEPTH - 8)
    bits.golomb(2)  # el_bit_depth_minus8
    bits.golomb(4)  # vdr_bit_depth_minus8
    bits.put(0, 1)
    bits.put(0, 3)
    bits.put(0, 1)
    bits.put(1, 1)  # disable_residual_flag
    bits.put(0, 1)  # vdr_dm_metadata_present_flag
    bits.put(0, 1)  # use_prev_vdr_rpu_flag
    bits.golomb(0)
    bits.golomb(0)
    bits.golomb(0)
    identity = ((0, 1 << _DEPTH), ((0.0, 1.0),))
    planes = ((pivots, pieces), identity, identity)
    for marks, lines in planes:
        bits.golomb(len(lines) - 1)  # num_pivots_minus2
        before = 0
        for mark in marks:
            bits.put(min(mark, (1 << _DEPTH) - 1) - before, _DEPTH)
            before = min(mark, (1 << _DEPTH) - 1)
    bits.golomb(0)  # num_x_partitions_minus1
    bits.golomb(0)
    for _, lines in planes:
        for line in lines:
            bits.golomb(0)  # mapping_idc: a polynomial
            bits.golomb(0)  # of the first order
            bits.put(0, 1)  # linear_interp_flag
            for number in line:
                whole = int(number // 1)
                bits.signed_golomb(whole)
                bits.put(round((number - whole) * (1 << _DENOMINATOR_BITS)), _DENOMINATOR_BITS)
    bits.align()
    content = b"\x19" + bits.content()
    content += _check_sum(content[1:]).to_bytes(4, "big") + b"\x80"
    return nal_unit(b"\x7c\x01", content)
