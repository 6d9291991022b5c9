"""Progress: bars where somebody looks, lines with the run's id where a log is read later.

Whatever is shown comes from the run's tally; nothing is counted here. Harvesting and mining each
have words of their own, in `summary` and in `mining`; how they are shown is the same.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from logminer.cli.summary import HarvestWords
from logminer.cli.talk import complain, counted, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from logminer.store.runs import Account

_LOG: Final = logging.getLogger("logminer")

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

    @classmethod
    def of(cls, *, quiet: bool, verbose: bool = False) -> Volume:
        """Return what the two flags ask for; the quieter one wins."""
        return cls.QUIET if quiet else cls.VERBOSE if verbose else cls.NORMAL


class Words(Protocol):
    """How one kind of run speaks of its tally, whose type is its own."""

    def begin(self, phase: StrEnum, tally: Any) -> str | None:  # noqa: ANN401
        """Return the line with which a phase begins; None where it begins without a word."""

    def moved(self, tally: Any) -> str:  # noqa: ANN401
        """Return how far the run has come, in one line."""

    def figures(self, tally: Any) -> dict[str, int | None]:  # noqa: ANN401
        """Return how far the run has come, by names."""

    def bars(self, tally: Any) -> Iterator[tuple[str, int, int | None, str]]:  # noqa: ANN401
        """Yield what is done: its name, how much of it, of how much, and what else there is."""

    def summary(
        self,
        tally: Any,  # noqa: ANN401
        *,
        store: str,
        seconds: float,
        only_problems: bool,
    ) -> Iterator[str]:
        """Yield what was done in the end, and what could not be done; or only the latter."""


def watch(
    log_format: LogFormat = LogFormat.AUTO,
    *,
    run_id: str | None = None,
    volume: Volume = Volume.NORMAL,
    words: Words | None = None,
) -> Watch:
    """Return what tells of a run; lines carry `run_id` where they are not for a terminal."""
    if log_format is LogFormat.JSON:
        return JsonWatch(run_id=run_id, volume=volume, words=words)
    if log_format is LogFormat.AUTO and sys.stderr.isatty():
        if volume is Volume.QUIET:
            return Watch(volume=volume, words=words)
        return TerminalWatch(volume=volume, words=words)
    return PlainWatch(run_id=run_id, volume=volume, words=words)


class Watch:
    """Tells nothing of what is going on, and the end in plain lines."""

    def __init__(self, *, volume: Volume = Volume.NORMAL, words: Words | None = None) -> None:
        """Say as much as `volume` allows, in the words of a harvest or in others."""
        self.volume = volume
        self._forwarder = _Forwarder(self)
        self._level = logging.NOTSET
        self.words: Words = words or HarvestWords()

    def __enter__(self) -> Self:
        """Begin; what is logged from now on is said here, too."""
        self._level = _LOG.level
        logging.getLogger().addHandler(self._forwarder)
        _LOG.setLevel(logging.INFO if self.volume is Volume.VERBOSE else logging.WARNING)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; the summary follows."""
        logging.getLogger().removeHandler(self._forwarder)
        _LOG.setLevel(self._level)

    def line(self, text: str) -> None:
        """Say one line."""
        say(text)

    def begin(self, phase: StrEnum, tally: Account) -> None:
        """Take in that a phase begins."""

    def discovered(self, projects: int) -> None:
        """Take in how many projects are found."""

    def moved(self, tally: Account) -> None:
        """Take in that something was done."""

    def published(self, days: int, of: int) -> None:
        """Take in how many days are written."""

    def failed(self, failure: str) -> None:
        """Take in a failure."""
        if self.volume is Volume.VERBOSE:
            self.line(f"failed: {failure}")

    def summary(self, tally: Account, *, store: str, seconds: float) -> None:
        """Say what a run has done, and what it could not do."""
        quiet = self.volume is Volume.QUIET
        for text in self.words.summary(tally, store=store, seconds=seconds, only_problems=quiet):
            self.line(text)

    def error(self, problem: object, *, exit_code: int) -> None:
        """Say why there was no run, or why it ended."""
        del exit_code
        complain(problem)


class TerminalWatch(Watch):
    """A bar for each phase; gone when it is done."""

    def __init__(self, *, volume: Volume = Volume.NORMAL, words: Words | None = None) -> None:
        """Prepare; nothing is drawn before `with`."""
        super().__init__(volume=volume, words=words)
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
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave a clean screen."""
        super().__exit__(kind, error, trace)
        self._bars.stop()

    def discovered(self, projects: int) -> None:
        """Count the projects of the scope."""
        self._draw("finding projects", projects, None, "")

    def moved(self, tally: Account) -> None:
        """Move the bars."""
        for what, done, total, found in self.words.bars(tally):
            self._draw(what, done, total, found)

    def published(self, days: int, of: int) -> None:
        """Move the bar of days."""
        self._draw("writing days", days, of, "")

    def _draw(self, what: str, done: int, total: int | None, found: str) -> None:
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._bars.add_task(what, total=total, found="")
        self._bars.update(task, completed=done, total=total, found=found)


class PlainWatch(Watch):
    """A line at each phase and every half minute, for logs of schedulers."""

    def __init__(
        self,
        *,
        run_id: str | None,
        volume: Volume = Volume.NORMAL,
        words: Words | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count the time."""
        super().__init__(volume=volume, words=words)
        self._run_id = run_id
        self._clock = clock
        self._said = clock()

    def line(self, text: str) -> None:
        """Say one line, after the run's id."""
        say(f"{self._run_id}  {text}" if self._run_id else text)

    def begin(self, phase: StrEnum, tally: Account) -> None:
        """Say what there is to do; before that, whoever mistyped a flag gets one line."""
        text = self.words.begin(phase, tally)
        if text is not None:
            self._tell(text)

    def discovered(self, projects: int) -> None:
        """Say how many projects are found."""
        if self._is_time():
            self._tell(f"found {counted(projects, 'project')} so far")

    def moved(self, tally: Account) -> None:
        """Say how far the run has come."""
        if self._is_time():
            self._tell(self.words.moved(tally))

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


class JsonWatch(PlainWatch):
    """The same as JSON lines, one object each: `time`, `run`, `event`, and the figures."""

    def line(self, text: str) -> None:
        """Say one line of words."""
        self._event("note", message=text)

    def begin(self, phase: StrEnum, tally: Account) -> None:
        """Say which phase begins."""
        if self.volume is not Volume.QUIET:
            self._event("phase", phase=str(phase), **self.words.figures(tally))

    def discovered(self, projects: int) -> None:
        """Say how many projects are found."""
        if self._is_time():
            self._progress(projects_found=projects)

    def moved(self, tally: Account) -> None:
        """Say how far the run has come."""
        if self._is_time():
            self._progress(**self.words.figures(tally))

    def published(self, days: int, of: int) -> None:
        """Say how many days are written."""
        if self._is_time():
            self._progress(days=days, days_to_write=of)

    def failed(self, failure: str) -> None:
        """Say what failed."""
        if self.volume is Volume.VERBOSE:
            self._event("failure", message=failure)

    def summary(self, tally: Account, *, store: str, seconds: float) -> None:
        """Say the whole tally."""
        figures = dict(tally.as_dict())
        del figures["run_id"]
        self._event(
            "end", exit_code=tally.exit_code, store=store, seconds=round(seconds, 3), **figures
        )

    def error(self, problem: object, *, exit_code: int) -> None:
        """Say why the run ended."""
        self._event("error", exit_code=exit_code, message=" ".join(str(problem).split()))

    def _progress(self, **figures: int | None) -> None:
        if self.volume is not Volume.QUIET:
            self._event("progress", **figures)

    def _event(self, event: str, **figures: Any) -> None:  # noqa: ANN401 -- whatever JSON has
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        say(json.dumps({"time": now, "run": self._run_id, "event": event, **figures}))


class _Forwarder(logging.Handler):
    """Says what is logged as the run says everything else: a line each, with the run's id."""

    def __init__(self, watch: Watch) -> None:
        """Say it through this watch."""
        super().__init__()
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        """Say one line; where it came from, only where a person asked for much."""
        verbose = self._watch.volume is Volume.VERBOSE
        text = self.format(record) if verbose else record.getMessage()
        self._watch.line(f"{record.levelname.lower()}: {text}")
