"""Tests of `hashmatch.server`."""
