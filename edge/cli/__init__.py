"""The command line. stdout holds results only; everything else goes to stderr."""

from edge.cli.app import main

__all__ = ["main"]
