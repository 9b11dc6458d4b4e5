"""Finds every blocklist hash within a radius of a query, at one pinned revision."""
