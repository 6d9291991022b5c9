"""From the scope a person names to the projects it holds, through python-gitlab.

python-gitlab knows groups and keyset paging; `guard`, below it, knows whom to trust and when to
try again, so python-gitlab's own retries never see an error.
Both are imported where they are needed, because they are heavy.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from logminer import __version__
from logminer.errors import (
    AuthorisationError,
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
from logminer.gitlab.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import gitlab

    from logminer.gitlab.guard import Guard
    from logminer.gitlab.settings import Settings
    from logminer.model import Project

MAX_REDIRECTS = 3

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


def discover(  # noqa: PLR0913 -- the last three have defaults that only tests replace
    settings: Settings,
    *,
    projects: Iterable[str | int] = (),
    groups: Iterable[str | int] = (),
    everything: bool = False,
    archived: bool = True,
    policy: RetryPolicy | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Project]:
    """Return the projects of a scope, each once, by rising id.

    A group brings its subgroups, but not the projects other groups share with it.
    `everything` is every project for an administrator's token, else those the token's user is a
    member of: on a public server the visible ones are millions, and somebody else's.
    Without `archived`, archived projects are left out, named ones too.

    Raises UnknownScopeError where a project or group is not visible, AuthorisationError,
    NotGitLabError, ServerError, and UsageError where the scope is empty.
    """
    projects, groups = tuple(projects), tuple(groups)
    if not (projects or groups or everything):
        raise UsageError("Nothing to harvest: name a project, a group, or ask for all of it.")
    from logminer.gitlab.guard import Guard  # noqa: PLC0415 -- heavy

    guard = Guard(settings, policy=policy or RetryPolicy(), sleep=sleep, clock=clock)
    with _connect(settings, guard) as server:
        try:
            _probe(server)
            found: dict[int, Project] = {}
            for item in _rows(server, projects, groups, everything=everything, archived=archived):
                project = protocol.parse_project(item)
                if archived or not project.archived:
                    found[project.id] = project
        except RetryableError as error:
            raise ServerError(
                f"{settings.instance} cannot be reached. {error} "
                "Check the URL and the network, or try again later."
            ) from error
        except UnexpectedAnswerError as error:
            raise NotGitLabError(str(error)) from error
    return [found[number] for number in sorted(found)]


def _probe(server: gitlab.Gitlab) -> None:
    """Raise NotGitLabError where no GitLab answers, AuthorisationError where it refuses."""
    try:
        protocol.parse_version("GET /version", _get(server, "/version"))
    except NotFoundError as error:
        raise NotGitLabError(protocol.no_api(server.url)) from error
    except ForbiddenError as error:
        raise AuthorisationError(protocol.REFUSED) from error


def _rows(
    server: gitlab.Gitlab,
    projects: tuple[str | int, ...],
    groups: tuple[str | int, ...],
    *,
    everything: bool,
    archived: bool,
) -> Iterator[object]:
    """Yield the JSON of every project of the scope, repeated where the scope overlaps."""
    # Unset means both kinds; there is no value that says so.
    kinds = {} if archived else {"archived": "false"}
    for name in projects:
        try:
            yield _get(server, f"/projects/{quote(str(name), safe='')}")
        except (NotFoundError, ForbiddenError) as error:
            raise UnknownScopeError(
                f"No project {name} for this token: check the id or the full path.",
            ) from error
    for name in groups:
        query = _LIST | kinds | {"include_subgroups": "true", "with_shared": "false"}
        try:
            yield from _list(server, f"/groups/{quote(str(name), safe='')}/projects", query)
        except (NotFoundError, ForbiddenError) as error:
            raise UnknownScopeError(
                f"No group {name} for this token: check the id or the full path.",
            ) from error
    if everything:
        user = _get(server, "/user")
        admin = isinstance(user, dict) and user.get("is_admin") is True
        whose = {} if admin else {"membership": "true"}
        yield from _list(server, "/projects", _LIST | kinds | whose | {"pagination": "keyset"})


def _get(server: gitlab.Gitlab, path: str) -> object:
    """Return the JSON of one resource."""
    with _understanding(path):
        return server.http_get(path)


def _list(server: gitlab.Gitlab, path: str, query: dict[str, object]) -> Iterator[object]:
    """Yield the rows of a list, page after page.

    The query goes into the first request only: python-gitlab repeats keyword arguments on every
    page, where they would override the ones in `Link`, `id_after` among them, for ever.
    """
    with _understanding(path):
        yield from server.http_list(path, query_data=query, iterator=True)


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
