"""Tests of `hashmatch.engine.hashing`."""
