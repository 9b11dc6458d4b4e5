"""How closely media are looked at: an upload sparsely, every time; an entry densely, once."""

from __future__ import annotations

from typing import Final

from hashmatch.engine.sampling.frames import Density

__all__ = ["ENTRY", "MAX_GAP_MS", "UPLOAD"]

# No stretch of an upload longer than this goes without a hash that is searched.
MAX_GAP_MS: Final = 1000

# A frame is searched at once if it differs by more than 40 of 256 bits from the last one searched.
# Unrelated frames differ by 78 and more (measured on 35 real clips against 5,200 hashes of
# others), so a scene that is looked at at all is searched however short it is. Of 62 altered
# copies, 37 were found with 60 bits, 38 with 40 and with 31.
#
# At instants that the uploader cannot know it is searched if it differs by more than 10: a cover
# that is 40 bits from a listed picture, and so is not found itself, must not stand for it. For the
# same reason every frame, where every one is decoded, is searched if it differs by more than 20: a
# copy of a listed picture is within some ten bits of it, and lists are searched within 31.
#
# What is shown for twelve seconds in all is found, however short the pieces. Over 68 ordinary clips
# what is done between key frames takes 1.14 to 1.21 times the processor time of looking at those
# alone; ten seconds, and less of a short clip, take 1.19, and a tenth of each clip 1.46.
UPLOAD: Final = Density(MAX_GAP_MS, change_bits=40, drawn_bits=10, whole_bits=20, found_ms=12_000)

# Wherever an upload of it is sampled, a hash of the entry is near: every frame that differs by more
# than 16 of 256 bits from the one before, and one every 250 ms unless it is within 4 bits of that.
# Measured on moving clips at 360p: with a hash every 250 ms alone a third of the sampled frames
# were more than 31 bits from the nearest, so chosen none were.
ENTRY: Final = Density(max_gap_ms=250, change_bits=16, same_bits=4, every_frame=True)
