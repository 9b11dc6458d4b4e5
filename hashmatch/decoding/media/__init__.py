"""Bytes in, frames out: the only package that touches PyAV and Pillow.

Nothing here is trusted with anything but the media: it runs in a worker process of its own.
"""
