"""What the rules ask at parse time: artifacts, ids, paths, digests of code. No torch."""
