"""Tests of `hashmatch.client`."""
