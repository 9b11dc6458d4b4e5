"""Gives the functions here what they measure with, however pytest was started."""

from benchmarks.functions.suite import against

__all__ = ["against"]
