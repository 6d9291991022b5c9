"""Where results go: stdout, or a file that appears only when it is complete."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from logminer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console, RenderableType


@contextmanager
def opened(path: Path | None) -> Iterator[TextIO]:
    """Yield stdout, or a file that replaces `path` once everything is written.

    Raises UsageError where that cannot be written, before anything is computed for it.
    """
    if path is None:
        yield sys.stdout
        return
    path = path.resolve()
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a directory; name a file")
    if path.exists() and not path.is_file():
        # A device or a pipe has a reader; a file in its place would have none.
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            yield file
        aside.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; name another file") from error
    finally:
        with suppress(OSError):  # nor can be removed what could not be written
            aside.unlink(missing_ok=True)


def show(console: Console, *parts: RenderableType) -> None:
    """Print on stdout, once for a command: rich takes a reader who has left for a failure.

    No line ends in blanks.
    """
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    for line in captured.get().removesuffix("\n").split("\n"):
        print(line.rstrip())
