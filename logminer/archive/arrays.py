"""PyArrow without pandas, which it would import for its first array where it is installed.

In a reading process that took half of what it takes to begin, for nothing that is done there. It is
settled in each of them, never in the server that forks them: the host program's own processes may
be forked by the same one, and may want pandas.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


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


def without_pandas() -> None:
    """Have PyArrow look for pandas now, in vain; it never looks again in this process."""
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(finder)
