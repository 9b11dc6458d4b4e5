"""Tests of `hashmatch.engine.index`."""
