"""Untrusted bytes to `Signals`: an upload on its way to a worker process, and what that does."""
