"""Tests of `hashmatch.lists`."""
