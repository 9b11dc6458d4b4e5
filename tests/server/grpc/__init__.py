"""Tests of `hashmatch.server.grpc`."""
