"""Tests of `hashmatch.cli`."""
