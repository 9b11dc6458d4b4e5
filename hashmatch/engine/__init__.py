"""Arrays in, verdicts out: which frames, their hashes, the search, the judgement. No I/O."""
