"""What is said beside the results: one line on stderr for each error, and its exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

import typer

from logminer.errors import LogminerError
from logminer.foreign import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED: Final = 130


def counted(number: int, thing: str) -> str:
    """Return a count and what it counts: 1 job, 2,000 jobs."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def say(line: str = "") -> None:
    """Print one line for people; where nobody listens any more, that is no reason to stop."""
    try:
        print(visible(line), file=sys.stderr, flush=True)
    except BrokenPipeError:
        _deafen(sys.stderr)


def complain(problem: object) -> None:
    """Print what is wrong, in one line."""
    say("logminer: " + " ".join(str(problem).split()))


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn errors into one line and their exit code; anything else is a fault of ours and shows.

    Results are flushed before the end, so that a reader who has gone or a full disk is noticed
    here and not by the interpreter, which would complain in its own words.
    """
    code = 0
    try:
        try:
            with _terminated_as_interrupted():
                yield
        except LogminerError as error:
            complain(error)
            code = error.exit_code
        except KeyboardInterrupt:
            complain("interrupted")
            code = INTERRUPTED
        except typer.Exit as end:
            code = end.exit_code
        if sys.stdout is not None:  # closed by whoever started us
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our results has seen enough: as good as an end.
        _deafen(sys.stdout)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _deafen(sys.stdout)
        complain("cannot write the result: no space left; make room, or name another place")
        code = 1
    raise typer.Exit(code)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: schedulers stop what runs too long with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _deafen(stream: TextIO) -> None:
    """Let what is still buffered for a stream go nowhere, also at the interpreter's end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
