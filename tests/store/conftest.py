"""A look at the files behind the store's back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Return a function that reads every file below `images` and `jobs`, by relative path."""
    return _tree


def _tree(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for table in ("images", "jobs")
        for path in sorted((store / table).rglob("*"))
        if path.is_file()
    }
