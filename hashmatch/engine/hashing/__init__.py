"""Frames and bytes in, `Signals` out.

`pdq` and `phash` hash frames, `exact` hashes files. Nothing is imported here, so that a server,
which hashes bytes only, does not load what hashes frames.
"""
