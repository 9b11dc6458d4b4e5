"""Measures hashmatch: ``make bench``. Every figure is a ratio to a yardstick of the same run."""
