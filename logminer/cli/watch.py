"""Progress: bars where somebody looks, lines with the run's id where a log is read later.

Whatever is shown comes from the run's tally; nothing is counted here. What kind of run it is only
its `Words` know.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from logminer.cli.talk import complain, counted, say
from logminer.running import Phase, RunTally

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from logminer.cli.summary import Words
    from logminer.errors import LogminerError

_T = TypeVar("_T", bound=RunTally)

_EVERY: Final = 30.0
"""Seconds between two lines in a log that somebody may have to read."""


class LogFormat(StrEnum):
    """How a run talks."""

    AUTO = "auto"
    """Bars on a terminal, plain lines elsewhere."""
    PLAIN = "plain"
    JSON = "json"


class Volume(StrEnum):
    """How much a run says."""

    QUIET = "quiet"
    """Only what went wrong."""
    NORMAL = "normal"
    VERBOSE = "verbose"
    """Each failure as it happens, and what the libraries log."""


def watch(
    words: Words[_T],
    log_format: LogFormat = LogFormat.AUTO,
    *,
    run_id: str | None = None,
    volume: Volume = Volume.NORMAL,
) -> Watch[_T]:
    """Return what tells of a run in these words.

    Lines carry `run_id` where they are not for a terminal.
    """
    if volume is Volume.VERBOSE:
        _let_libraries_talk(words, log_format, run_id)
    if log_format is LogFormat.JSON:
        return JsonWatch(words, run_id=run_id, volume=volume)
    if log_format is LogFormat.AUTO and sys.stderr.isatty():
        if volume is Volume.QUIET:
            return Watch(words, volume=volume)
        return TerminalWatch(words, volume=volume)
    return PlainWatch(words, run_id=run_id, volume=volume)


class Watch(Generic[_T]):
    """Tells nothing of what is going on, and the end in plain lines."""

    def __init__(self, words: Words[_T], *, volume: Volume = Volume.NORMAL) -> None:
        """Say as much as `volume` allows."""
        self._words = words
        self.volume = volume

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; the summary follows."""

    def line(self, text: str) -> None:
        """Say one line."""
        say(text)

    def begin(self, phase: Phase, tally: _T) -> None:
        """Take in that a phase begins."""

    def discovered(self, projects: int) -> None:
        """Take in how many projects are found."""

    def moved(self, tally: _T) -> None:
        """Take in that something was done."""

    def published(self, days: int, of: int) -> None:
        """Take in how many days are written."""

    def failed(self, failure: str) -> None:
        """Take in a failure."""
        if self.volume is Volume.VERBOSE:
            self.line(f"failed: {failure}")

    def summary(self, tally: _T, *, store: str, seconds: float) -> None:
        """Say what a run has done, and what it could not do."""
        quiet = self.volume is Volume.QUIET
        for text in self._words.summary(tally, store=store, seconds=seconds, only_problems=quiet):
            self.line(text)

    def error(self, error: LogminerError) -> None:
        """Say why there was no run, or why it ended."""
        complain(error)


class TerminalWatch(Watch[_T]):
    """A bar for each phase; gone when it is done."""

    def __init__(self, words: Words[_T], *, volume: Volume = Volume.NORMAL) -> None:
        """Prepare; nothing is drawn before `with`."""
        super().__init__(words, volume=volume)
        from rich.console import Console  # noqa: PLC0415 -- only where a person looks
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bars: Bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[found]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave a clean screen."""
        self._bars.stop()

    def discovered(self, projects: int) -> None:
        """Count the projects of the scope."""
        self._draw("finding projects", projects, None, "")

    def moved(self, tally: _T) -> None:
        """Move the bars of what the run is for."""
        for bar in self._words.bars(tally):
            self._draw(*bar)

    def published(self, days: int, of: int) -> None:
        """Move the bar of days."""
        self._draw("writing days", days, of, "")

    def _draw(self, what: str, done: int, total: int | None, found: str) -> None:
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._bars.add_task(what, total=total, found="")
        self._bars.update(task, completed=done, total=total, found=found)


class PlainWatch(Watch[_T]):
    """A line at each phase and every half minute, for logs of schedulers."""

    def __init__(
        self,
        words: Words[_T],
        *,
        run_id: str | None,
        volume: Volume = Volume.NORMAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count the time."""
        super().__init__(words, volume=volume)
        self._run_id = run_id
        self._clock = clock
        self._said = clock()

    def line(self, text: str) -> None:
        """Say one line, after the run's id."""
        say(f"{self._run_id}  {text}" if self._run_id else text)

    def begin(self, phase: Phase, tally: _T) -> None:
        """Say what there is to do; before that, whoever mistyped a flag gets one line."""
        if phase in {Phase.HARVEST, Phase.INVENTORY}:
            self._tell(self._words.begun(tally))

    def discovered(self, projects: int) -> None:
        """Say how many projects are found."""
        if self._is_time():
            self._tell(f"found {counted(projects, 'project')} so far")

    def moved(self, tally: _T) -> None:
        """Say how far the run has come."""
        if self._is_time():
            left = tally.requests_left
            limit = f", {left:,} requests left in the limit" if left is not None else ""
            self._tell(f"{self._words.moved(tally)}{limit}")

    def published(self, days: int, of: int) -> None:
        """Say how many days are written."""
        if self._is_time():
            self._tell(f"wrote {days:,} of {counted(of, 'day')}")

    def _tell(self, text: str) -> None:
        if self.volume is not Volume.QUIET:
            self.line(text)

    def _is_time(self) -> bool:
        now = self._clock()
        if now - self._said < _EVERY:
            return False
        self._said = now
        return True


class JsonWatch(PlainWatch[_T]):
    """The same as JSON lines, one object each: `time`, `run`, `event`, and the figures."""

    def line(self, text: str) -> None:
        """Say one line of words."""
        self._event("note", message=text)

    def begin(self, phase: Phase, tally: _T) -> None:
        """Say which phase begins."""
        if self.volume is not Volume.QUIET:
            self._event("phase", phase=str(phase), projects=tally.projects)

    def discovered(self, projects: int) -> None:
        """Say how many projects are found."""
        if self._is_time():
            self._progress(projects_found=projects)

    def moved(self, tally: _T) -> None:
        """Say how far the run has come."""
        if self._is_time():
            self._progress(
                projects=tally.projects,
                **self._words.figures(tally),
                requests=tally.requests,
                requests_left=tally.requests_left,
            )

    def published(self, days: int, of: int) -> None:
        """Say how many days are written."""
        if self._is_time():
            self._progress(days=days, days_to_write=of)

    def failed(self, failure: str) -> None:
        """Say what failed."""
        if self.volume is Volume.VERBOSE:
            self._event("failure", message=failure)

    def summary(self, tally: _T, *, store: str, seconds: float) -> None:
        """Say the whole tally."""
        figures = tally.as_dict()
        del figures["run_id"]
        self._event(
            "end", exit_code=tally.exit_code, store=store, seconds=round(seconds, 3), **figures
        )

    def error(self, error: LogminerError) -> None:
        """Say why the run ended."""
        self._event("error", exit_code=error.exit_code, message=" ".join(str(error).split()))

    def _progress(self, **figures: int | None) -> None:
        if self.volume is not Volume.QUIET:
            self._event("progress", **figures)

    def _event(self, event: str, **figures: Any) -> None:  # noqa: ANN401 -- whatever JSON has
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        say(json.dumps({"time": now, "run": self._run_id, "event": event, **figures}))


def _let_libraries_talk(words: Words[_T], log_format: LogFormat, run_id: str | None) -> None:
    """Show what this package logs, one line each, in the same form."""
    kind = JsonWatch if log_format is LogFormat.JSON else PlainWatch
    teller = kind(words, run_id=run_id)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            teller.line(f"{record.levelname.lower()}: {record.getMessage()}")

    logger = logging.getLogger("logminer")
    logger.handlers = [Handler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
