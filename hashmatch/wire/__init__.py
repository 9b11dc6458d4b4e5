"""Between the records of `model` and the messages of `hashmatch.v1`: the only place
that knows both. `signals` needs numpy; a client needs `records` and `status` alone.
"""
