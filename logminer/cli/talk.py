"""What is said beside the results: one line on stderr for each error, and its exit code."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from logminer.errors import LogminerError

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130


def say(line: str = "") -> None:
    """Print one line for people."""
    print(line, file=sys.stderr)


def complain(problem: object) -> None:
    """Print what is wrong, in one line that cannot move the cursor or colour the screen."""
    text = " ".join(str(problem).split())
    say("logminer: " + "".join(each if each.isprintable() else "\ufffd" for each in text))


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn errors into one line and their exit code; anything else is a fault of ours and shows."""
    try:
        yield
    except LogminerError as error:
        complain(error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        complain("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our results has seen enough; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
