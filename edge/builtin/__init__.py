"""The filters that come with edge, built from `filters/` at the top of the source tree.

`path(name)` gives the module file of `api-key`, `header-transform` or `ab-split`.
"""

from edge.builtin.catalogue import NAMES, path

__all__ = ["NAMES", "path"]
