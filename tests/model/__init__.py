"""Tests of `hashmatch.model`."""
