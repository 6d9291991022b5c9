"""The reads of an inventory: branches, CI configurations, and the files of repositories.

Paths of files are chosen by whoever pushes: they go into a URL quoted whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

from logminer.errors import UnexpectedAnswerError
from logminer.gitlab import protocol
from logminer.gitlab.client import Client
from logminer.gitlab.paging import PER_PAGE
from logminer.gitlab.wire import Kind

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable

    import aiohttp

    from logminer.gitlab.protocol import Lint
    from logminer.model import Project

MAX_SEARCH_PAGES: Final = 100
"""Pages of one search: ten thousand hits."""


class Spool(Protocol):
    """What takes in an archive."""

    def write(self, data: bytes, /) -> object:
        """Take in the next piece."""

    def close(self) -> None:
        """Forget everything: it was cut off."""


_SpoolT = TypeVar("_SpoolT", bound=Spool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """Where a branch is."""

    commit: str
    server_time: dt.datetime | None
    """The server's clock when it answered, in UTC; None where it sent no `Date`."""


class RepositoryClient(Client):
    """Reads of the repositories of one GitLab server; raises as `Client` does."""

    async def tip(self, project: Project, branch: str) -> Tip:
        """Return the newest commit of a branch."""
        path = f"/projects/{project.id}/repository/branches/{quote(branch, safe='')}"
        data, headers = await self._json(Kind.BRANCH, path)
        return Tip(commit=protocol.parse_commit(data), server_time=protocol.server_time(headers))

    async def lint(self, project: Project) -> Lint:
        """Return the CI configuration of the default branch as the server merges it."""
        data, _ = await self._json(Kind.LINT, f"/projects/{project.id}/ci/lint")
        return protocol.parse_lint(data)

    async def archive(
        self, project: Project, commit: str, start: Callable[[], _SpoolT], *, max_bytes: int
    ) -> _SpoolT | None:
        """Return the tar.gz of all files of a commit; None where it is longer than `max_bytes`.

        `start` makes what takes it in, anew for each try.
        """
        path = f"/projects/{project.id}/repository/archive.tar.gz?{urlencode({'sha': commit})}"

        async def take_in(response: aiohttp.ClientResponse) -> _SpoolT | None:
            spool, size = start(), 0

            def take(piece: bytes) -> bool:
                nonlocal size
                size += len(piece)
                spool.write(piece)
                return size > max_bytes

            whole = False
            try:
                whole = not await self.stream(response, take)
            finally:
                if not whole:
                    spool.close()
            return spool if whole else None

        return await self._read(lambda: self.ask(Kind.ARCHIVE, path, take_in))

    async def tree(self, project: Project, commit: str) -> AsyncIterator[tuple[str, ...]]:
        """Yield the paths of all files of a commit, a page at a time."""
        path = f"/projects/{project.id}/repository/tree"
        query: dict[str, str | int] = {
            "ref": commit,
            "recursive": "true",
            "per_page": PER_PAGE,
            "pagination": "keyset",
        }
        seen: set[str] = set()
        while True:
            data, headers = await self._json(Kind.TREE, path, query)
            yield protocol.parse_tree(f"GET {path}", data)
            following = protocol.next_parameter(f"GET {path}", headers, "page_token", "page")
            if following is None:
                return
            name, value = following
            if value in seen:
                raise UnexpectedAnswerError(f"GET {path}: the pages lead round in a circle.")
            seen.add(value)
            query[name] = value

    async def file(
        self, project: Project, commit: str, path: str, *, max_bytes: int
    ) -> bytes | None:
        """Return the content of a file; None where it is longer than `max_bytes`."""
        where = f"/projects/{project.id}/repository/files/{quote(path, safe='')}/raw"
        query = urlencode({"ref": commit})

        async def take_in(response: aiohttp.ClientResponse) -> bytes:
            return await self.body(response, max_bytes)

        content = await self._read(lambda: self.ask(Kind.FILE, f"{where}?{query}", take_in))
        return content if len(content) <= max_bytes else None

    async def search(self, project: Project, text: str) -> set[str]:
        """Return the paths of the files of the default branch that hold a text.

        Not every server searches files, and one that does may leave some out.
        """
        path = f"/projects/{project.id}/search"
        found: set[str] = set()
        for page in range(1, MAX_SEARCH_PAGES + 1):
            query: dict[str, str | int] = {
                "scope": "blobs",
                "search": text,
                "per_page": PER_PAGE,
                "page": page,
            }
            data, headers = await self._json(Kind.SEARCH, path, query)
            found.update(protocol.parse_found(f"GET {path}", data))
            if protocol.next_parameter(f"GET {path}", headers, "page") is None:
                return found
        raise UnexpectedAnswerError(f"GET {path}: the pages do not come to an end.")
