"""Which of FFmpeg's decoders of video are used."""

from __future__ import annotations

from typing import Final

__all__ = ["DECODERS"]

# What phones, browsers, cameras, editors and screen recorders write, and have written. FFmpeg has
# two hundred more, of games and of forgotten cards, that few have ever attacked but those who
# mean harm.
DECODERS: Final = frozenset({
    "8bps", "aasc", "aic", "apv", "asv1", "asv2", "avrn", "avui", "bmp", "camstudio", "camtasia",
    "cfhd", "cinepak", "cljr", "cllc", "cyuv", "dirac", "dnxhd", "dvvideo", "dxv", "ffv1",
    "ffvhuff", "flashsv", "flashsv2", "flic", "flv", "fraps", "gif", "h261", "h263", "h263i",
    "h263p", "h264", "hap", "hevc", "hq_hqa", "hqx", "huffyuv", "indeo2", "indeo3", "indeo4",
    "indeo5", "jpeg2000", "jpegls", "lagarith", "libdav1d", "libvpx", "libvpx-vp9", "magicyuv",
    "mjpeg", "mjpegb", "mpeg1video", "mpeg2video", "mpeg4", "mpegvideo", "msmpeg4", "msmpeg4v1",
    "msmpeg4v2", "msrle", "mss1", "mss2", "msvideo1", "mszh", "pixlet", "png", "prores", "qdraw",
    "qtrle", "r10k", "r210", "rawvideo", "rpza", "sgirle", "sheervideo", "smc", "snow", "speedhq",
    "svq1", "svq3", "targa", "theora", "tiff", "tscc2", "utvideo", "v210", "v308", "v408", "v410",
    "vble", "vc1", "vc1image", "vp3", "vp4", "vp6", "vp6a", "vp6f", "vp7", "vp8", "vp9", "vvc",
    "wmv1", "wmv2", "wmv3", "wmv3image", "y41p", "yuv4", "zlib", "zmbv",
})  # fmt: skip
