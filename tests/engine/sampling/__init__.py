"""Tests of `hashmatch.engine.sampling`."""
