"""Lists of hashes as others have them."""
