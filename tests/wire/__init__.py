"""Tests of `hashmatch.wire`."""
