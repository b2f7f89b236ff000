"""Compiled modules for one configuration, from the store or from the compile child."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edge import model
from edge.control.config import Artefacts, Loaded, used_modules
from edge.wire import DESCRIPTORS_LIMIT

MODULES_LIMIT = (DESCRIPTORS_LIMIT - 1) // 2
"""Guest and bridge of each, and the inner host, travel beside one message."""

Progress = Callable[[int, int, str], None]
"""(how many are done, of how many, name of the next or empty)."""


class CannotCompile(Exception):
    """`errors` are one line each and name the module."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


async def prepare_artefacts(loaded: Loaded, state_dir: Path, progress: Progress | None = None) -> Artefacts:
    """Everything the chains use, each digest once. Raises CannotCompile with all refusals.

    The descriptors belong to the caller. Without chains nothing is compiled or imported.
    """
    sources = {loaded.modules[name].digest: loaded.modules[name] for name in used_modules(loaded.root)}
    if not sources:
        return Artefacts()
    if len(sources) > MODULES_LIMIT:
        raise CannotCompile([f"the chains use {len(sources)} modules; a worker takes {MODULES_LIMIT}"])
    from edge.control.modules.library import ModuleLibrary, ModuleRefused
    from edge.control.modules.store import FileModuleStore

    library = ModuleLibrary(FileModuleStore(state_dir))
    modules: list[model.Module] = []
    descriptors: list[int] = []
    errors: list[str] = []
    for done, source in enumerate(sources.values()):
        if progress is not None:
            progress(done, len(sources), source.name)
        try:
            made = await library.provide(source.content)
        except ModuleRefused as refusal:
            errors += [f"module {source.name}: {error}" for error in refusal.errors]
            continue
        modules.append(
            model.Module(
                digest=made.digest,
                abi=made.abi,
                guest_fd=len(descriptors),
                bridge_fd=len(descriptors) + 1,
                guest_imports=made.guest_imports,
                bridge_imports=made.bridge_imports,
                exports=made.exports,
            )
        )
        descriptors += [made.guest_fd, made.bridge_fd]
    if errors:
        for descriptor in descriptors:
            os.close(descriptor)
        raise CannotCompile(errors)
    descriptors.append(await library.inner_host())
    if progress is not None:
        progress(len(sources), len(sources), "")
    return Artefacts(modules, len(descriptors) - 1, descriptors)
