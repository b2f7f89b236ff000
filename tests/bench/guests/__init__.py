"""The filters of the bench: C sources, built once by the pinned compiler."""

from tests.bench.guests.build import build

__all__ = ["build"]
