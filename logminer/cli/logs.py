"""`logminer extract`: job logs from files or standard input to image uses."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from logminer.cli.explain import HEAD, explainer
from logminer.cli.pages import use_lines, use_table
from logminer.cli.talk import complain
from logminer.foreign import visible
from logminer.reference import Upstreams
from logminer.trace import Extractor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from logminer.model import ImageUse
    from logminer.trace import Extraction, Sighting

_CHUNK: Final = 1 << 18
"""Bytes read at a time."""

_STDIN: Final = "-"


def run(
    names: Sequence[str], *, jsonl: bool, explain: bool = False, mirrors: Path | None = None
) -> int:
    """Print the image uses of each log; returns 0, 3 if some were no logs, 1 if none was one.

    `explain` prints every line that a rule read before them; as JSON lines, it prints those only.
    `mirrors` is the user's table of mirrors. Raises UsageError where that is none.
    """
    upstreams = Upstreams.load(mirrors) if mirrors else None
    found: list[tuple[str, tuple[ImageUse, ...]]] = []
    good = 0
    for name in names:
        if explain:
            extraction = _explained(name, upstreams, jsonl=jsonl)
        else:
            extraction = _extracted(name, upstreams)
        if extraction is None:
            continue
        good += 1
        if not jsonl:
            found.append((name, extraction.uses))
        elif not explain:
            for line in use_lines(name, extraction):
                print(line)
        if not extraction.uses:
            complain(f"{name}: a job log that names no image{_executor(extraction)}")
    if any(uses for _, uses in found):
        use_table([(name, uses) for name, uses in found if uses], headed=len(names) > 1)
    if good == len(names):
        return 0
    return 3 if good else 1


def _explained(name: str, upstreams: Upstreams | None, *, jsonl: bool) -> Extraction | None:
    """Read one log and print every line that a rule read."""
    if not jsonl:
        print(f"{visible(name)}\n{HEAD}")
    extraction = _extracted(name, upstreams, explainer(name, jsonl=jsonl))
    if extraction is not None and not jsonl:
        _conclude(extraction)
    return extraction


def _conclude(extraction: Extraction) -> None:
    """Say under the lines of a log what the whole of it was taken for."""
    summary = extraction.summary
    known = "recognised" if summary.recognised else "not recognised"
    print(
        f"\nrunner {visible(summary.runner_version or 'unknown')}, executor"
        f" {visible(summary.executor or 'unknown')}, preamble {known}; {summary.lines:,} lines,"
        f" {summary.cut_lines:,} longer than is looked at\n"
    )


def _extracted(
    name: str, upstreams: Upstreams | None, observe: Callable[[Sighting], None] | None = None
) -> Extraction | None:
    """Read one log; None, and one line that says why, for what is none."""
    extractor = Extractor(upstreams, observe=observe)
    try:
        with _opened(name) as file:
            while chunk := file.read(_CHUNK):
                extractor.feed(chunk)
    except OSError as error:
        complain(f"{name}: cannot be read ({error.strerror}); name a job log")
        return None
    extraction = extractor.finish()
    summary = extraction.summary
    if not summary.bytes:
        complain(
            f"{name}: empty; save the log again, from the job's page or the API (jobs/ID/trace)"
        )
        return None
    if summary.runner_version is None and not extraction.uses:
        complain(f"{name}: no GitLab job log: neither a runner's line nor an image stands in it")
        return None
    if summary.truncated:
        complain(f"{name}: cut by the runner's size limit; images may be missing")
    return extraction


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input, which is not ours to close."""
    if name == _STDIN:
        if sys.stdin is None:  # closed by whoever started us
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


def _executor(extraction: Extraction) -> str:
    """Say why a log without an image is no surprise, or that it is one."""
    executor = extraction.summary.executor
    return f" (executor {executor})" if executor else ""
