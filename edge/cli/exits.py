"""Exit codes of every command; README.md lists them for users."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INVALID = 3
"""The configuration."""
EXIT_DIFFERENT = 4
EXIT_REFUSED = 5
"""By policy: a module, a reference."""
EXIT_UNREACHABLE = 6
"""The admin API."""
EXIT_INTERRUPTED = 130
