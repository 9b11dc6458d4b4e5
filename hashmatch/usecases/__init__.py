"""What the product does, without gRPC or SQL in sight, and the blocklist in memory."""
