"""Lists of hashes as others write them: reading and writing."""
