"""Tests of `hashmatch.telemetry`."""
