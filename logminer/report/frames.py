"""Rows of frames, as the renderers read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame by the names of its columns, which are always text."""
    return cast("list[dict[str, Any]]", frame.to_dict("records"))
