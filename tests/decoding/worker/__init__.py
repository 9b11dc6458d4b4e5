"""Tests of `hashmatch.decoding.worker`."""
