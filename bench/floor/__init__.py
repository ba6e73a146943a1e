"""The floor of the benchmark: the least that a useful request does, on the same server and the same database."""
