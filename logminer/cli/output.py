"""Where results go: stdout, or a file that appears only when it is complete."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from logminer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def opened(path: Path | None) -> Iterator[TextIO]:
    """Yield stdout, or a file that replaces `path` once everything is written."""
    if path is None:
        yield sys.stdout
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            yield file
        aside.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; name another file") from error
    finally:
        aside.unlink(missing_ok=True)
