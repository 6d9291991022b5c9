"""What every reading process needs, had once: only the server that forks them imports this."""

from __future__ import annotations

import sys
import threading
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

from logminer.trace import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# The rules are compiled for all processes, on one core, while the other imports the rest.
compiling = threading.Thread(target=prepare)
compiling.start()

import pyarrow as pa  # noqa: E402

import logminer.archive.engines  # noqa: E402
import logminer.archive.reading  # noqa: E402, F401 -- with all that it imports


class _WithoutPandas(MetaPathFinder):
    """Lets pandas not be found."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 -- the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> None:
        """Refuse pandas, and leave the rest to others."""
        if fullname == "pandas":
            raise ModuleNotFoundError("not wanted here", name=fullname)


# For its first array PyArrow imports pandas where it is installed, and never asks again: half of
# what it takes to begin, for nothing that is done here.
sys.meta_path.insert(0, _WithoutPandas())
pa.array([None])
del sys.meta_path[0]

compiling.join()
