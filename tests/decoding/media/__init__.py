"""Tests of `hashmatch.decoding.media`."""
