"""The shape of the configuration file. It holds only what is implemented."""

from edge.control.config.schema.base import Section
from edge.control.config.schema.filters import Literal, Secret, opaque
from edge.control.config.schema.root import Root

__all__ = ["Literal", "Root", "Secret", "Section", "opaque"]
