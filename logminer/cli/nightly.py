"""`logminer harvest`: flags to a request, checked here before any server is asked."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Final

from logminer.cli.watch import summarise, watch
from logminer.errors import UsageError
from logminer.gitlab import Pacer, default_scope, discover, resolve
from logminer.gitlab.retry import RetryPolicy
from logminer.harvest import Options, harvest
from logminer.period import parse_moment
from logminer.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FIRST_TRIES: Final = 3
"""Tries of a request before the harvest proper begins: a refused connection fails in 3 seconds.
Nothing is lost by then, and whoever mistyped the URL still looks at the screen."""


def run(  # noqa: PLR0913 -- one for each flag
    path: Path,
    *,
    projects: Sequence[str],
    groups: Sequence[str],
    everything: bool,
    archived: bool,
    since: str | None,
    until: str | None,
    url: str | None,
    token_file: Path | None,
    ca_bundle: Path | None,
    concurrency: int,
    rps: float | None,
) -> int:
    """Harvest what the flags ask for, say what was done, and return the exit code."""
    began = time.monotonic()
    options = _options(since, until, concurrency=concurrency, rps=rps)
    if not (projects or groups or everything):
        scope = default_scope()
        projects, groups = scope.projects, scope.groups
        if not (projects or groups):
            raise UsageError(
                "nothing to harvest: give --project, --group or --all"
                " (or set GL_PROJECT_ID or GL_GROUP_ID)"
            )
    settings = resolve(
        url=url,
        token=_token(token_file),
        ca_bundle=str(ca_bundle) if ca_bundle else None,
    )
    if path.exists():
        Store.create(path)  # what cannot become one is said before the server is asked
    found = discover(
        settings,
        projects=projects,
        groups=groups,
        everything=everything,
        archived=archived,
        policy=RetryPolicy(attempts=_FIRST_TRIES),
    )
    store = Store.create(path)
    with watch() as progress:
        tally = harvest(store, settings, found, options=options, progress=progress)
    summarise(tally, store=str(path), seconds=time.monotonic() - began)
    return tally.exit_code


def _options(
    since: str | None, until: str | None, *, concurrency: int, rps: float | None
) -> Options:
    """Return what a run is asked for; raises UsageError for what cannot be."""
    now = dt.datetime.now(dt.UTC)
    options = Options(
        since=parse_moment(since, now=now) if since is not None else None,
        until=parse_moment(until, now=now) if until is not None else None,
        concurrency=concurrency,
        rps=rps,
    )
    if options.since and options.until and options.since >= options.until:
        raise UsageError(
            f"nothing lies from {since} until {until}: --since must be earlier than --until"
        )
    Pacer(rps=rps)  # knows what is no ceiling
    return options


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
