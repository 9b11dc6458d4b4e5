"""Tests of `hashmatch.access`."""
