"""How a handler says no."""

from __future__ import annotations


class RefusedError(Exception):
    """An answer of GitLab's that is none of the good ones: its status and its message."""

    def __init__(self, message: str, *, status: int) -> None:
        """Refuse with this status."""
        super().__init__(message)
        self.status = status
