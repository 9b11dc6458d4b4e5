"""Measures what is still found after an uploader who evades has altered it, and what is accused
that should not be: ``python -m benchmarks.robustness``.
"""
