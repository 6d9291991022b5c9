"""A project into what it declares.

Files come as one archive where its size allows: two requests for a project, the other one for the
CI configuration as the server merges it. Where there is no archive they come by the tree, one
request for each hundred names and one for each file that may declare something; where the tree is
too long, the server's own search names the files, if it has one.
"""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from logminer.errors import (
    ForbiddenError,
    NotFoundError,
    RetryableError,
    SkippableError,
    UnexpectedAnswerError,
)
from logminer.inventory import MAX_FILE_BYTES, Facts, predefined, read_tree, unread, wanted
from logminer.inventory.facts import CONFIG_PATH
from logminer.model import DeclarationKind
from logminer.running import gather
from logminer.snapshot.unpacking import Files, TooMuchError, inner_path, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

    from logminer.gitlab import Lint, RepositoryClient, Settings
    from logminer.model import Declaration, Project

MAX_TREE_PAGES: Final = 200
"""Pages of a tree that are read: twenty thousand names."""

_SEARCHES: Final = ("image", "FROM")
"""Every file that declares an image holds one of these, in some case of letters."""

_IN_MEMORY: Final = 2**20
"""Bytes of an archive that are not worth a file."""

_FILES_AT_ONCE: Final = 4
"""Files of one project that are asked for at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was read of a project."""

    declarations: tuple[Declaration, ...]
    merged: bool | None
    """Whether the server merged the CI configuration; None where there is none."""
    by_tree: bool = False


class Reader:
    """Reads projects; one is unpacked and understood at a time, whatever else is under way."""

    def __init__(
        self, client: RepositoryClient, settings: Settings, *, scratch: Path, max_archive: int
    ) -> None:
        """Read through this client; archives wait in `scratch`, under no name."""
        self._client = client
        self._settings = settings
        self._scratch = scratch
        self._max_archive = max_archive
        # One thread, not one at a time of many: each would keep memory of its own.
        self._thread = ThreadPoolExecutor(1, "understanding")

    async def read(self, project: Project, commit: str) -> Read:
        """Return what a project declares at a commit.

        Raises what the client does, where the project's files are not to be had.
        """
        asked = asyncio.ensure_future(self.lint(project))
        packed: IO[bytes] | None = None
        try:
            packed = await self._archive(project, commit)
            lint = await asked
            if packed is not None:
                read = await self._unpacked(project, lint, packed)
                if read is not None:
                    return read
        finally:
            asked.cancel()
            if packed is not None:
                packed.close()
        files = await self._by_tree(project, commit)
        return replace(await self.understood(project, lint, lambda: files), by_tree=True)

    async def _unpacked(self, project: Project, lint: Lint | str, packed: IO[bytes]) -> Read | None:
        """Return what an archive declares; None where it is too much of one."""
        try:
            return await self.understood(project, lint, lambda: unpack(packed))
        except TooMuchError:
            return None

    async def understood(
        self, project: Project, lint: Lint | str, files: Callable[[], Files]
    ) -> Read:
        """Return what a configuration and files declare, once it is their turn; `files` unpacks."""
        work = asyncio.get_running_loop().run_in_executor
        return await work(self._thread, lambda: self._understood(project, lint, files()))

    # -- asking ----------------------------------------------------------------------------------

    async def lint(self, project: Project) -> Lint | str:
        """Return the merged CI configuration, or why there is none."""
        if not project.ci_enabled:
            return ""
        try:
            return await self._client.lint(project)
        except ForbiddenError:
            return "the token may not ask the server for the merged configuration"
        except NotFoundError:
            return "the server does not merge configurations for this project"
        except UnexpectedAnswerError:
            return "the merged configuration of the server could not be read"

    async def _archive(self, project: Project, commit: str) -> IO[bytes] | None:
        """Return the archive, at its beginning; None where the files have to come by the tree."""
        size = project.repository.size
        if size is not None and size > self._max_archive:
            return None
        try:
            packed = await self._client.archive(
                project,
                commit,
                self._spool,
                max_bytes=self._max_archive,
            )
        except (SkippableError, RetryableError):
            # 406 and 404 are GitLab's words for one that it does not make; one that is too much
            # for it times out, as often as it is asked for.
            return None
        if packed is not None:
            packed.seek(0)
        return packed

    def _spool(self) -> tempfile.SpooledTemporaryFile[bytes]:
        return tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self._scratch))

    async def _by_tree(self, project: Project, commit: str) -> Files:
        """Return the files that may declare something, each asked for by itself."""
        files = Files()
        paths: list[str] = []
        pages = 0
        async for page in self._client.tree(project, commit):
            paths += filter(_may_declare, page)
            pages += 1
            if pages == MAX_TREE_PAGES and len(page) > 0:
                paths = await self._searched(project, paths, files)
                break
        waiting = iter(dict.fromkeys(paths))

        async def worker() -> None:
            for path in waiting:
                content = await self._client.file(project, commit, path, max_bytes=MAX_FILE_BYTES)
                size = len(content) if content is not None else MAX_FILE_BYTES + 1
                if files.take(path, size) and content is not None:
                    files.contents[path] = content

        await gather(worker() for _ in range(_FILES_AT_ONCE))
        return files

    async def _searched(self, project: Project, listed: list[str], files: Files) -> list[str]:
        """Return the files that the server's search finds, beside those that were listed."""
        found = set(listed)
        beyond = f"the tree is longer than {MAX_TREE_PAGES * 100:,} names"
        try:
            for text in _SEARCHES:
                found |= set(filter(_may_declare, await self._client.search(project, text)))
            files.left[""] = f"{beyond}: of the rest, only what the server's search finds was read"
        except SkippableError:
            files.left[""] = (
                f"{beyond}, and this server does not search files: the rest is not read"
            )
        return sorted(found)

    # -- understanding ---------------------------------------------------------------------------

    def _understood(self, project: Project, lint: Lint | str, files: Files) -> Read:
        """Return what the files declare; on a thread of its own."""
        repository = project.repository
        config = repository.config_path or CONFIG_PATH
        merged = lint.merged if not isinstance(lint, str) and lint.valid else None
        facts = Facts(
            predefined=predefined(
                server_url=self._server_url(project),
                project_path=project.path,
                project_id=project.id,
                default_branch=repository.branch,
                registry_image=repository.image_prefix,
            ),
            config_path=config,
        )
        declarations = read_tree(files.contents.items(), facts, merged=merged)
        declarations += [unread(path, reason) for path, reason in sorted(files.left.items())]
        has_config = merged is not None or config in files.contents
        if has_config and merged is None and lint != "":
            declarations.append(unread(config, _why(lint), DeclarationKind.CI))
        return Read(
            declarations=tuple(declarations),
            merged=merged is not None if has_config else None,
        )

    def _server_url(self, project: Project) -> str:
        """Return the URL that the server has for itself; ours may be another way to it."""
        page = project.repository.url or ""
        own = page.removesuffix(f"/{project.path}")
        return own if own != page else self._settings.url


def _may_declare(path: str) -> bool:
    return inner_path(path) == path and wanted(path)


def _why(lint: Lint | str) -> str:
    """Return why a configuration was read from the file, in one sentence."""
    if isinstance(lint, str):
        return f"{lint}; read from the file instead"
    first = " ".join((lint.errors[0] if lint.errors else "").split())[:200]
    return f"the server finds the configuration invalid ({first}); read from the file instead"
