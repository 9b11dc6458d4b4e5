"""The child process that decodes: ``python -m hashmatch.decoding.worker DESCRIPTOR``.

The server never imports this package, and so never loads a decoder.
"""
