"""Tests of `hashmatch.engine`."""
