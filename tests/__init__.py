"""All tests of edge. `python -m tests` runs every phase;."""
