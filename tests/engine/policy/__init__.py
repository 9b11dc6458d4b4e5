"""Tests of `hashmatch.engine.policy`."""
