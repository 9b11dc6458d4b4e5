"""The gRPC doors: parse, call, translate, and nothing else."""
