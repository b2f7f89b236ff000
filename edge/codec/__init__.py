"""Bytes of a protocol to heads, data and trailers, and back."""
