"""All tests. This runs before any module of gRPC's is imported."""

import os

# Tests start PostgreSQL by a fork, beside threads that use gRPC; what it does then to be usable in
# the child, which never uses it, has ended children by SIGBUS.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
