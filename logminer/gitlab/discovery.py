"""From the scope a person names to the projects it holds, through python-gitlab.

python-gitlab knows groups and keyset paging; `guard`, below it, knows whom to trust and when to
try again, so python-gitlab's own retries never see an error.
Both are imported where they are needed, because they are heavy.
"""

from __future__ import annotations

import fnmatch
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from logminer import __version__
from logminer.errors import (
    AuthorisationError,
    BlockedError,
    ForbiddenError,
    NotFoundError,
    NotGitLabError,
    RetryableError,
    ServerError,
    UnexpectedAnswerError,
    UnknownScopeError,
    UsageError,
)
from logminer.gitlab import protocol
from logminer.gitlab.budget import Budget
from logminer.gitlab.pacing import Pacer
from logminer.gitlab.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import gitlab

    from logminer.gitlab.guard import Guard
    from logminer.gitlab.settings import Settings
    from logminer.model import Project

MAX_REDIRECTS = 3
MAX_STALE = 1_000
"""Rows of a list in a row whose ids do not rise: GitLab shows some twice where a list changes."""
MAX_PROJECTS = 1_000_000
"""Rows of one list."""

_LIST = {"order_by": "id", "sort": "asc", "per_page": 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose jobs are harvested; projects and groups by id or full path."""

    projects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    everything: bool = False


def default_scope(environ: Mapping[str, str] = os.environ) -> Scope:
    """Return the scope of `GL_PROJECT_ID` and `GL_GROUP_ID`, for when no flag names one."""
    project, group = environ.get("GL_PROJECT_ID"), environ.get("GL_GROUP_ID")
    return Scope(
        projects=(project,) if project else (),
        groups=(group,) if group else (),
    )


def discover(  # noqa: PLR0913 -- a scope has many sides, and each has a default
    settings: Settings,
    *,
    projects: Iterable[str | int] = (),
    groups: Iterable[str | int] = (),
    everything: bool = False,
    archived: bool = True,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    sizes: bool = False,
    progress: Callable[[int], object] | None = None,
    pacer: Pacer | None = None,
    budget: Budget | None = None,
    policy: RetryPolicy | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Project]:
    """Return the projects of a scope, each once, by rising id.

    A group brings its subgroups, but not the projects other groups share with it.
    `everything` is every project for an administrator's token, else those the token's user is a
    member of: on a public server the visible ones are millions, and somebody else's.
    Without `archived`, archived projects are left out, named ones too.
    `include` and `exclude` are shell patterns of full paths, in either case of letters, `*` also
    for slashes: a project stays in that fits one of the former, where there are any, and none of
    the latter. Projects whose CI is off are in, and say so.
    With `sizes` they tell how large their repositories are, where the server tells that.
    `progress` is called with the number of projects found so far.
    Requests keep to `pacer` and `budget`, which the harvest after it may share.

    Raises UnknownScopeError where a project or group is not visible, AuthorisationError,
    NotGitLabError, ServerError, BudgetSpentError, and UsageError where the scope is empty.
    """
    projects, groups = tuple(projects), tuple(groups)
    if not (projects or groups or everything):
        raise UsageError("Nothing to harvest: name a project, a group, or ask for all of it.")
    from logminer.gitlab.guard import Guard  # noqa: PLC0415 -- heavy

    guard = Guard(
        settings,
        policy=policy or RetryPolicy(),
        pacer=pacer or Pacer(),
        budget=budget or Budget(),
        sleep=sleep,
        clock=clock,
    )
    wanted = path_filter(tuple(include), tuple(exclude))
    with _connect(settings, guard) as server:
        try:
            _probe(server)
            found: dict[int, Project] = {}
            more = {"statistics": "true"} if sizes else {}
            # Unset means both kinds; there is no value that says so.
            kinds = {} if archived else {"archived": "false"}
            for item in _rows(
                server, projects, groups, everything=everything, kinds=kinds, more=more
            ):
                project = protocol.parse_project(item)
                if wanted(project.path) and (archived or not project.archived):
                    found[project.id] = project
                    if progress is not None:
                        progress(len(found))
        except RetryableError as error:
            raise ServerError(
                f"{settings.instance} cannot be reached. {error} "
                "Check the URL and the network, or try again later."
            ) from error
        except UnexpectedAnswerError as error:
            raise NotGitLabError(str(error)) from error
    return [found[number] for number in sorted(found)]


def path_filter(include: tuple[str, ...], exclude: tuple[str, ...]) -> Callable[[str], bool]:
    """Return whether a path is wanted; GitLab's paths differ in more than case."""
    include = tuple(pattern.casefold() for pattern in include)
    exclude = tuple(pattern.casefold() for pattern in exclude)

    def wanted(path: str) -> bool:
        path = path.casefold()
        return (
            not include or any(fnmatch.fnmatchcase(path, each) for each in include)
        ) and not any(fnmatch.fnmatchcase(path, each) for each in exclude)

    return wanted


def _probe(server: gitlab.Gitlab) -> None:
    """Raise NotGitLabError where no GitLab answers, AuthorisationError where it refuses."""
    try:
        protocol.parse_version("GET /version", _get(server, "/version"))
    except NotFoundError as error:
        raise NotGitLabError(protocol.no_api(server.url)) from error
    except ForbiddenError as error:
        raise AuthorisationError(protocol.REFUSED) from error


def _rows(  # noqa: PLR0913 -- a scope has many sides
    server: gitlab.Gitlab,
    projects: tuple[str | int, ...],
    groups: tuple[str | int, ...],
    *,
    everything: bool,
    kinds: dict[str, str],
    more: dict[str, str],
) -> Iterator[object]:
    """Yield the JSON of every project of the scope, repeated where the scope overlaps.

    `kinds` chooses among those of a list, `more` says what else is asked of each.
    """
    query: dict[str, object] = {**_LIST, **kinds, **more}
    for name in projects:
        with _named(server, "project", name):
            yield _get(server, f"/projects/{quote(str(name), safe='')}", more)
    for name in groups:
        below = query | {"include_subgroups": "true", "with_shared": "false"}
        with _named(server, "group", name):
            yield from _list(server, f"/groups/{quote(str(name), safe='')}/projects", below)
    if everything:
        user = _get(server, "/user")
        admin = isinstance(user, dict) and user.get("is_admin") is True
        whose = {} if admin else {"membership": "true"}
        yield from _list(server, "/projects", query | whose | {"pagination": "keyset"})


@contextmanager
def _named(server: gitlab.Gitlab, kind: str, name: str | int) -> Iterator[None]:
    """Raise UnknownScopeError where what a person named is not to be had."""
    try:
        yield
    except (NotFoundError, ForbiddenError) as error:
        if isinstance(error, ForbiddenError):
            # We were let in a moment ago: is it this one thing, or all of a sudden everything?
            try:
                _probe(server)
            except AuthorisationError:
                raise BlockedError(protocol.blocked(server.url)) from error
        raise UnknownScopeError(
            f"No {kind} {name} for this token: check the id or the full path.",
        ) from error


def _get(server: gitlab.Gitlab, path: str, query: dict[str, str] | None = None) -> object:
    """Return the JSON of one resource."""
    with _understanding(path):
        return server.http_get(path, query_data=query)


def _list(server: gitlab.Gitlab, path: str, query: dict[str, object]) -> Iterator[object]:
    """Yield the rows of a list, page after page.

    The query goes into the first request only: python-gitlab repeats keyword arguments on every
    page, where they would override the ones in `Link`, `id_after` among them, for ever.
    """
    highest = stale = 0
    with _understanding(path):
        rows = server.http_list(path, query_data=query, iterator=True)
        for count, row in enumerate(rows):
            number = row["id"]
            highest, stale = (number, 0) if number > highest else (highest, stale + 1)
            if stale > MAX_STALE or count >= MAX_PROJECTS:
                raise UnexpectedAnswerError(f"GET {path}: the pages do not come to an end.")
            yield row


@contextmanager
def _understanding(path: str) -> Iterator[None]:
    """Raise NotGitLabError where the answer to `path` makes no sense to the libraries.

    python-gitlab takes any JSON for a list, and requests any text for a redirect's target.
    """
    import gitlab  # noqa: PLC0415 -- heavy
    import requests  # noqa: PLC0415 -- heavy

    try:
        yield
    except (
        gitlab.GitlabError,
        requests.RequestException,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise NotGitLabError(
            f"GET {path}: the answer is not GitLab's ({type(error).__name__}). Check the URL.",
        ) from error


def _connect(settings: Settings, guard: Guard) -> gitlab.Gitlab:
    """Return python-gitlab's client, with every request going through `guard`."""
    import gitlab  # noqa: PLC0415 -- heavy
    import requests  # noqa: PLC0415 -- heavy

    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    # What `guard` can undo.
    session.headers["Accept-Encoding"] = "gzip"
    session.mount("http://", guard)
    session.mount("https://", guard)
    return gitlab.Gitlab(
        settings.url,
        private_token=None if settings.oauth else settings.token,
        oauth_token=settings.token if settings.oauth else None,
        ssl_verify=settings.verify,
        timeout=settings.timeout,
        user_agent=f"logminer/{__version__}",
        # A server that does not know its own name links to the wrong one.
        keep_base_url=True,
        session=session,
    )
