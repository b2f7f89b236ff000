"""The configuration file: load, check, build. Every error at once, each with its place.

Nothing is re-exported: `problem` and `quantity` are small and used by the supervisor, the others
bring pydantic and PyYAML, which it must not hold.
"""
