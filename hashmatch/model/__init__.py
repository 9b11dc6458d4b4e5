"""The words of hashmatch as types: frozen, and checked when made.

Nothing here needs numpy except `model.signals`, so a client can use the rest.
"""
