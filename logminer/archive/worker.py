"""What every reading process needs, had once: only the server that forks them imports this.

pyarrow asks for pandas at the first array that it makes, and takes it for absent if it cannot be
had. No row needs it, and it is a quarter of a second and 30 MB: so here it cannot be had.
"""

from __future__ import annotations

import importlib
import sys


class _WithoutPandas:
    """A finder of modules that knows of one that there is none."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:  # noqa: ARG004 -- a finder's
        if name == "pandas":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, _WithoutPandas)
importlib.import_module("logminer.archive.reading")
importlib.import_module("logminer.trace.scanner").scanner()  # compiled for all of them
