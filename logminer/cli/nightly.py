"""`logminer harvest`: flags to a request, checked here before any server is asked."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.cli import metrics, values
from logminer.cli.again import reread
from logminer.cli.talk import INTERRUPTED, complain, counted
from logminer.cli.watch import LogFormat, Volume, Watch, watch
from logminer.errors import LogminerError, UsageError
from logminer.gitlab import Budget, Pacer, default_scope, discover, resolve
from logminer.gitlab.retry import RetryPolicy
from logminer.harvest import Options, Phase, Tally, estimate, harvest
from logminer.model import Depth
from logminer.period import parse_moment
from logminer.reference import Upstreams
from logminer.store import Store, new_run_id, shelf_of, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from logminer.gitlab import Settings
    from logminer.model import Project
    from logminer.store import Ledger, LedgerView

_FIRST_TRIES: Final = 3
"""Tries of a request before the harvest proper begins: a refused connection fails in 3 seconds.
Nothing is lost by then, and whoever mistyped the URL still looks at the screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Which GitLab, as the flags say; what they leave open, environment and file say."""

    url: str | None
    token_file: Path | None
    ca_bundle: Path | None

    def settings(self) -> Settings:
        """Return the settings; raises UsageError where they are no use."""
        return resolve(
            url=self.url,
            token=_token(self.token_file),
            ca_bundle=str(self.ca_bundle) if self.ca_bundle else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the flags of `logminer harvest` ask for."""

    server: Server
    projects: Sequence[str]
    groups: Sequence[str]
    everything: bool
    include: Sequence[str]
    exclude: Sequence[str]
    archived: bool
    since: str | None
    until: str | None
    depth: str
    max_trace_size: str | None
    concurrency: int
    rps: float | None
    mirrors: Path | None
    max_requests: int | None
    max_duration: str | None
    dry_run: bool
    metrics_file: Path | None
    keep_preamble: bool
    reparse: bool
    offline: bool
    log_format: LogFormat
    volume: Volume

    def options(self) -> Options:
        """Return what a run is asked for; raises UsageError for what cannot be."""
        since, until = moments(self.since, self.until)
        Pacer(rps=self.rps)  # knows what is no ceiling
        return Options(
            since=since,
            until=until,
            concurrency=self.concurrency,
            rps=self.rps,
            depth=Depth(self.depth),
            max_trace_bytes=(
                values.size(self.max_trace_size, flag="--max-trace-size")
                if self.max_trace_size is not None
                else None
            ),
            upstreams=Upstreams.load(self.mirrors) if self.mirrors else Upstreams.default(),
            keep=self.keep_preamble,
        )

    def budget(self, began: float) -> Budget:
        """Return what the run may spend, where it began at `began` (monotonic seconds)."""
        duration = self.max_duration
        return Budget(
            self.max_requests,
            began + values.seconds(duration, flag="--max-duration") if duration else None,
        )

    def scope(self) -> tuple[Sequence[str], Sequence[str]]:
        """Return projects and groups; raises UsageError where nothing names any."""
        if self.projects or self.groups or self.everything:
            return self.projects, self.groups
        scope = default_scope()
        if not (scope.projects or scope.groups):
            raise UsageError(
                "nothing to harvest: give --project, --group or --all"
                " (or set GL_PROJECT_ID or GL_GROUP_ID)"
            )
        return scope.projects, scope.groups


def run(location: str, asked: Asked) -> int:
    """Harvest what is asked for, say what was done, and return the exit code."""
    run_id = new_run_id(dt.datetime.now(dt.UTC))
    progress = watch(asked.log_format, run_id=run_id, volume=asked.volume)
    with _measured(location, asked, run_id) as end:
        try:
            if asked.reparse:
                end.code = reread(location, asked, run_id, progress, end)
            elif asked.offline:
                raise UsageError("--offline reads again what was kept of logs: give --reparse, too")
            else:
                end.code = _run(location, asked, run_id, progress, end)
        except LogminerError as error:
            progress.error(error, exit_code=error.exit_code)
            end.code = error.exit_code
        except KeyboardInterrupt:
            progress.error("interrupted", exit_code=INTERRUPTED)
            end.code = INTERRUPTED
    return end.code


@dataclass(slots=True)
class End:
    """How a run ended; until it has, it failed."""

    code: int = 1
    source: str | None = None
    """None where the run did not come to know its server."""


@contextlib.contextmanager
def _measured(location: str, asked: Asked, run_id: str) -> Iterator[End]:
    """Write the metrics that are asked for, however the run inside ends."""
    began = time.monotonic()
    end = End()
    file = None if asked.dry_run else asked.metrics_file
    if file is not None:
        metrics.check(file)
    try:
        yield end
    finally:
        if file is not None:
            try:
                metrics.write(
                    file,
                    location=location,
                    source=end.source,
                    run_id=run_id,
                    exit_code=end.code,
                    seconds=time.monotonic() - began,
                )
            except UsageError as error:
                complain(error)
                end.code = end.code or 3


def _run(location: str, asked: Asked, run_id: str, progress: Watch, end: End) -> int:
    began = time.monotonic()
    options = asked.options()
    budget, pacer = asked.budget(began), Pacer(rps=options.rps)
    projects, groups = asked.scope()
    settings = asked.server.settings()
    end.source = source_of(settings.instance)
    with contextlib.ExitStack() as opened:
        store: Store | None = None
        ledger: Ledger | None = None
        if shelf_of(location).exists():
            # What cannot become a store, and one that is locked, is said before the server is
            # asked; one that does not exist yet is not made before the server has answered.
            store, source = Store.create(location), source_of(settings.instance)
            if not asked.dry_run and store.has_ledger(source):
                ledger = opened.enter_context(store.open_ledger(source))
        with progress:
            progress.begin(Phase.DISCOVER, Tally())
            found = discover(
                settings,
                projects=projects,
                groups=groups,
                everything=asked.everything,
                archived=asked.archived,
                include=asked.include,
                exclude=asked.exclude,
                policy=RetryPolicy(attempts=_FIRST_TRIES),
                pacer=pacer,
                budget=budget,
                progress=progress.discovered,
            )
            if not found and (asked.include or asked.exclude):
                raise UsageError(
                    "no project of the scope fits --include and --exclude: patterns are of full"
                    " paths, such as 'shop/*'"
                )
            if asked.dry_run:
                _estimate(store, settings, found, options, budget, progress)
                return 0
            store = store or Store.create(location)
            tally = harvest(
                store,
                settings,
                found,
                options=options,
                progress=progress,
                ledger=ledger,
                pacer=pacer,
                budget=budget,
                run_id=run_id,
            )
    progress.summary(tally, store=location, seconds=time.monotonic() - began)
    versions = store.versions()
    if versions.oldest < versions.newest and asked.volume is not Volume.QUIET:
        progress.line(f"files of schema version {versions.oldest} remain: run `logminer migrate`")
    return tally.exit_code


def _estimate(  # noqa: PLR0913, PLR0917 -- the parts of a run that does not happen
    store: Store | None,
    settings: Settings,
    projects: Sequence[Project],
    options: Options,
    budget: Budget,
    progress: Watch,
) -> None:
    """Say what a run would do."""
    with contextlib.ExitStack() as opened:
        view: LedgerView | None = None
        source = source_of(settings.instance)
        if store is not None and store.has_ledger(source):
            view = opened.enter_context(store.read_ledger(source))
        known = view.projects() if view is not None else {}
        guess = estimate(
            settings,
            projects,
            known={project.id: listing for project, listing in known.items()},
            queued=view.count_queued() if view is not None else 0,
            options=options,
            budget=budget,
        )
    least = "at least " if guess.is_lower_bound else "about "
    progress.line(
        f"a harvest would read {least}{counted(guess.jobs, 'job')} of"
        f" {counted(guess.projects, 'project')} with {least}{counted(guess.requests, 'request')},"
        f" in {least}{_minutes(guess.seconds)}"
    )
    progress.line(
        f"An estimate, from the newest jobs of {counted(guess.asked, 'project')}"
        + (
            "; older ones cannot be counted in advance. With --since it says more."
            if guess.is_lower_bound
            else "."
        )
    )


def _minutes(seconds: float) -> str:
    return "a minute" if seconds <= 60 else counted(round(seconds / 60), "minute")  # noqa: PLR2004


def moments(since: str | None, until: str | None) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return the two ends of a period; raises UsageError where nothing lies between them."""
    now = dt.datetime.now(dt.UTC)
    begin = parse_moment(since, now=now) if since is not None else None
    end = parse_moment(until, now=now) if until is not None else None
    if begin and end and begin >= end:
        raise UsageError(
            f"nothing lies from {since} until {until}: --since must be earlier than --until"
        )
    return begin, end


def _token(path: Path | None) -> str | None:
    """Return the token that stands in a file."""
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(
            f"cannot read the token from {path} ({error.strerror}): name a file that you can read"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} holds no token: name a text file with one") from error
    if not token:  # the environment's would be somebody else's
        raise UsageError(f"{path} is empty: name a file with the token in it")
    return token
