"""Crafted bytes for everything that parses bytes outside the decoding worker.

``targets`` says what is tried and from which examples; tests/test_fuzz.py tries each for a moment,
``python -m tests.fuzz --seconds N`` for as long as one likes, led by the code's coverage.
"""
