"""Pictures that PDQ calls flat: text cards, scans, logos, dark rooms, skies, walls; see
``python -m benchmarks.flat``.
"""
