"""What each figure must reach on any processor: its floor, and where that comes from.

A baseline says what one model of processor reached, and so finds small losses on it. A floor says
what is promised of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["FLOORS", "Floor"]


@dataclass(frozen=True, slots=True)
class Floor:
    """The least ratio of a row, and the source of the number."""

    ratio: float
    source: str


# For rows of which nothing was promised in numbers: what half of it is lost on no other processor.
_HALF: Final = "about half of the least that was measured on any processor"
_LATENCY: Final = f"{_HALF}; a queue's times vary most"
_ENGINE: Final = "what the engine was asked for when it was built"

FLOORS: Final[Mapping[str, Floor]] = {
    "pdq": Floor(60, _HALF),
    "hash_clip_each_second": Floor(6.0, "promised on every machine"),
    "hash_clip_one": Floor(2.3, "promised on every machine"),
    "decode_floor_each_second": Floor(0.75, "a third beside decoding at most"),
    "decode_floor_one": Floor(0.75, "a third beside decoding at most"),
    "hash_long_1080p": Floor(0.8, "the cost of a second does not grow with the length"),
    "search_1m_batch": Floor(30, _ENGINE),
    "search_1m_batch_multihash": Floor(40, _HALF),
    "search_1m_single": Floor(15, _HALF),
    "search_1m_single_multihash": Floor(20, _HALF),
    "search_1m_wider": Floor(3.5, _HALF),
    "search_10m_batch": Floor(200, _ENGINE),
    "search_10m_batch_multihash": Floor(1, "faster than faiss's own hash tables"),
    "search_10m_single": Floor(1, "faster than comparing all"),
    "search_10m_single_multihash": Floor(1, "faster than faiss's own hash tables"),
    "search_10m_wider": Floor(1, "faster than comparing all"),
    "index_build_1m": Floor(0.004, f"{_HALF}: a second"),
    "index_build_10m": Floor(0.004, f"{_HALF}: ten seconds"),
    "index_bytes_1m": Floor(0.25, "128 bytes a digest"),
    "index_bytes_10m": Floor(0.25, "128 bytes a digest"),
    "search_while_changing": Floor(0.5, f"twice the time at most: {_ENGINE}"),
    "import_100k": Floor(0.05, _HALF),
    "import_1m": Floor(0.05, _HALF),
    "list_100k": Floor(0.02, _HALF),
    "list_1m": Floor(0.02, _HALF),
    "views_360p": Floor(0.4, "2.5 times one view of each frame at most"),
    "views_720p": Floor(0.5, "twice one view of each frame at most"),
    "views_corpus": Floor(0.6, "1.7 times one view of each frame at most"),
    "service_throughput": Floor(0.14, _HALF),
    "service_latency_50_p50": Floor(0.17, _LATENCY),
    "service_latency_50_p95": Floor(0.08, _LATENCY),
    "service_latency_50_p99": Floor(0.07, _LATENCY),
    "service_latency_90_p50": Floor(0.1, _LATENCY),
    "service_latency_90_p95": Floor(0.05, _LATENCY),
    "service_latency_90_p99": Floor(0.04, _LATENCY),
    "service_flood_p99": Floor(0.2, _LATENCY),
    "service_flood_plain_p99": Floor(0.08, _LATENCY),
    "slow_upload_mp4": Floor(1.0, "0.1 s from the last byte to the verdict"),
    "slow_upload_webm": Floor(1.0, "0.1 s from the last byte to the verdict"),
    "update_latency": Floor(1.0, "a second from an entry to the first block"),
}
