"""Compiled modules for one configuration, from the store or from the compile child."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge import model
from edge.control.config.build import Artefacts, used_modules
from edge.control.config.load import Loaded
from edge.control.config.modules import Source
from edge.wire import DESCRIPTORS_LIMIT

if TYPE_CHECKING:
    from edge.control.modules.library import ModuleLibrary, Provided

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
    """Everything the chains use, each digest once. Raises CannotCompile with all refusals, OSError.

    The descriptors belong to the caller. Without chains nothing is compiled or imported.
    """
    sources = {loaded.modules[name].digest: loaded.modules[name] for name in used_modules(loaded.root)}
    if not sources:
        return Artefacts()
    if len(sources) > MODULES_LIMIT:
        raise CannotCompile([f"the chains use {len(sources)} modules; a worker takes {MODULES_LIMIT}"])
    from edge.control.modules.engine import EngineUnfit, check_engine
    from edge.control.modules.library import ModuleLibrary
    from edge.control.modules.store import FileModuleStore

    library = ModuleLibrary(FileModuleStore(state_dir))
    try:
        await asyncio.to_thread(check_engine, state_dir)
    except EngineUnfit as error:
        raise CannotCompile([str(error)]) from None
    made = Artefacts([], -1, [])
    try:
        compiled = await _compiled(list(sources.values()), library, made, progress)
        return replace(compiled, notices=[library.unkept] if library.unkept else [])
    except BaseException:
        for descriptor in made.descriptors:
            os.close(descriptor)
        raise


async def _compiled(
    sources: list[Source], library: ModuleLibrary, made: Artefacts, progress: Progress | None
) -> Artefacts:
    """Adds to `made`, whose descriptors the caller closes when this raises."""
    from edge.control.modules.library import ModuleRefused

    errors: list[str] = []
    for done, source in enumerate(sources):
        if progress is not None:
            progress(done, len(sources), source.name)
        try:
            _add(made, await library.provide(source.content))
        except ModuleRefused as refusal:
            errors += [f"module {source.name}: {error}" for error in refusal.errors]
    if errors:
        raise CannotCompile(errors)
    try:
        made.descriptors.append(await library.inner_host())
    except ModuleRefused as refusal:
        raise CannotCompile([f"the inner host: {error}" for error in refusal.errors]) from None
    if progress is not None:
        progress(len(sources), len(sources), "")
    return replace(made, inner_host_fd=len(made.descriptors) - 1)


def _add(made: Artefacts, provided: Provided) -> None:
    index = len(made.descriptors)
    made.descriptors.extend((provided.guest_fd, provided.bridge_fd))
    made.modules.append(
        model.Module(
            digest=provided.digest,
            abi=provided.abi,
            guest_fd=index,
            bridge_fd=index + 1,
            guest_imports=provided.guest_imports,
            bridge_imports=provided.bridge_imports,
            exports=provided.exports,
        )
    )
