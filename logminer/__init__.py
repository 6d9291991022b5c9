"""logminer: which container images our GitLab CI really pulled.

Facts flow down this picture, imports point up it, and no arrow is missing (import-linter checks):

    cli                                       flags to calls, errors to exit codes
    harvest | archive | snapshot | report | schedule | simulator
                                              runs | disks | declared | answer | files | a GitLab
    running                                   what every run against a server has
    gitlab | store | trace | inventory | analysis
                                              client | Parquet | logs | declarations | verbs
    reference                                 image references
    period                                    since and until
    model                                     frozen values
    errors | foreign | lazy                   one tree | foreign text made harmless | late imports

    import logminer
    store = logminer.open("store")
    images = store.images(since="2026-07-01", until="2026-10-01")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logminer import analysis as analysis
    from logminer.store import open_store as open  # noqa: A004 -- the verb users expect

__version__ = "0.1.0"
__all__ = ["__version__", "analysis", "open"]


def __getattr__(name: str) -> object:
    """Import the heavy rooms when first asked for: `import logminer` stays cheap."""
    if name == "open":
        return importlib.import_module("logminer.store").open_store
    if name == "analysis":
        return importlib.import_module("logminer.analysis")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
