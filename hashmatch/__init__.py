"""Screens media against a blocklist of perceptual hashes before it is published.

A pipeline imports `hashmatch.client`.
"""
