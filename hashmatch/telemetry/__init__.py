"""Logs, numbers for Prometheus, and work beside other work."""
