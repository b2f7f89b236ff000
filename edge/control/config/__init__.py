"""The configuration file: load, check, build. Every error at once, each with its place."""

from edge.control.config.build import Artefacts, build, explicit_telemetry, used_modules
from edge.control.config.load import Loaded, load
from edge.control.config.problem import Problem

__all__ = ["Artefacts", "Loaded", "Problem", "build", "explicit_telemetry", "load", "used_modules"]
