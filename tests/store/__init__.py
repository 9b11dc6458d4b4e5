"""Tests of `hashmatch.store`."""
