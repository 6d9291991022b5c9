"""Moments as text, in every format a machine reads."""

from __future__ import annotations

import datetime as dt


def stamp(moment: dt.datetime) -> str:
    """Return a moment as RFC 3339 in UTC, to the second: `2026-07-01T00:00:00Z`."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
