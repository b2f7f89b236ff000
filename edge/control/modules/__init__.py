"""From uploaded bytes to sealed artefacts: inspection, the compile child, the signed store.

`ModuleLibrary.provide` does all of it. Hostile bytes are read here in plain Python and compiled in
a child; only artefacts we have signed ourselves ever reach a worker.
"""
