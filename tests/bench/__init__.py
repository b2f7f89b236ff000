"""CPU, memory and latency of edge beside its peers, in the same run: `python -m tests.bench`."""
