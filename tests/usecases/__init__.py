"""Tests of `hashmatch.usecases`."""
