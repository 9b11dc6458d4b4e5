"""Tests of `hashmatch.decoding`."""
