"""Local clones: the files of a directory that a repository would hold, and whose it is.

What `.gitignore` leaves out, links and version control's own files are no part of it, so that a
clone gives what the server's archive of it gives.
A directory below that is a repository of its own (a submodule, one clone of many) is read as one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pathspec import GitIgnoreSpec

from logminer.errors import UsageError
from logminer.inventory import (
    CHART,
    MAX_FILE_BYTES,
    Facts,
    predefined,
    read_rendered,
    read_tree,
    unread,
    wanted,
)
from logminer.model import DeclarationKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from logminer.model import Declaration

_OWN: Final = frozenset({".git", ".hg", ".svn"})
_IGNORE: Final = ".gitignore"
_MAX_IGNORE: Final = 1 << 20
_MAX_DEPTH: Final = 64

_RENDERING: Final = 60
"""Seconds that one chart may take."""

_RENDERING_TOLD: Final = 1_000
"""Bytes of a complaint of Helm's that are looked at."""

_FROM_JOB: Final = (
    *("CI_API_V4_URL", "CI_DEFAULT_BRANCH", "CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX"),
    *("CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX", "CI_DEPENDENCY_PROXY_SERVER", "CI_PROJECT_ID"),
    *("CI_PROJECT_NAME", "CI_PROJECT_NAMESPACE", "CI_PROJECT_PATH", "CI_PROJECT_PATH_SLUG"),
    *("CI_PROJECT_ROOT_NAMESPACE", "CI_PROJECT_URL", "CI_REGISTRY", "CI_REGISTRY_IMAGE"),
    *("CI_SERVER_FQDN", "CI_SERVER_HOST", "CI_SERVER_PORT", "CI_SERVER_PROTOCOL", "CI_SERVER_URL"),
    *("CI_TEMPLATE_REGISTRY_HOST",),
)
"""Variables that are the same for every job of a project, and no secret."""


@dataclass(slots=True)
class Clones:
    """What was read from directories."""

    rows: list[Declaration] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Files that should have been readable and were not."""

    render: Renderer | None = None
    """Renders charts, if that was asked for."""

    def take(self, root: Path, settings: Mapping[str, str], only: set[str] | None) -> list[Path]:
        """Read one repository, or some of its files; returns the repositories within it."""
        files = Files(root, also=only or set())
        rows = read_tree(files, facts_of(root, settings))
        if self.render is not None:
            rows = self.render.rendered(root, rows, files.charts)
        for each in [*rows, *files.gaps]:
            if only is None or each.path in only:
                self.rows.append(replace(each, path=_shown(root, each.path)))
        self.refused += [_shown(root, e) for e in files.refused if only is None or e in only]
        return files.inner


def read_directory(
    directory: Path, settings: Mapping[str, str], render: Renderer | None = None
) -> Clones:
    """Return what the repositories in a directory declare; paths begin with the directory's.

    Raises UsageError where it is none.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory}: no directory; name a local clone, or files without --path")
    found = Clones(render=render)
    waiting = [directory]
    while waiting:
        waiting += found.take(waiting.pop(), settings, None)
    found.rows.sort(key=lambda row: (row.path, row.line or 0))
    return found


def read_named(
    names: Iterable[str], settings: Mapping[str, str], render: Renderer | None = None
) -> Clones:
    """Return what some files declare, each read with the repository around it.

    Raises UsageError for what is no file.
    """
    asked: dict[Path, set[str]] = {}
    for name in names:
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"{name}: no such file; a directory is named with --path")
        root = _repository(path)
        asked.setdefault(root, set()).add(Path(os.path.relpath(path, root)).as_posix())
    found = Clones(render=render)
    for root, paths in asked.items():
        found.take(root, settings, paths)
    return found


def _shown(root: Path, path: str) -> str:
    """Return a file's path as a person at this place would write it."""
    whole = root / path
    return whole.as_posix() if root.is_absolute() else Path(os.path.relpath(whole)).as_posix()


def _repository(path: Path) -> Path:
    """Return the directory of the repository that a file lies in, else the file's own."""
    start = Path(os.path.normpath(path.parent))
    above = Path.cwd().parents if not start.is_absolute() and ".." not in start.parts else ()
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    for folder in above:  # of the working directory
        if (folder / ".git").exists():
            return Path(os.path.relpath(folder))
    return start


class Files:
    """The files of one repository that are of use, read one after the other."""

    def __init__(self, root: Path, *, also: set[str]) -> None:
        """Walk from this directory; files `also` are read though they may be ignored."""
        self._root = root
        self._also = also
        self.inner: list[Path] = []
        """Directories below that are repositories of their own."""
        self.charts: list[str] = []
        """Directories of charts, those within other charts left out."""
        self.gaps: list[Declaration] = []
        self.refused: list[str] = []

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of each file."""
        waiting: list[tuple[str, tuple[_Ignore, ...]]] = [("", ())]
        while waiting:
            folder, above = waiting.pop()
            entries = self._entries(folder)
            ignores = above
            if any(each.name == _IGNORE for each in entries):
                ignores = (*above, _Ignore(folder, self._read(f"{folder}{_IGNORE}") or b""))
            for each in entries:
                path = f"{folder}{each.name}"
                if each.is_dir(follow_symlinks=False):
                    if self._is_ours(path, each.name, ignores):
                        waiting.append((f"{path}/", ignores))
                elif each.is_file(follow_symlinks=False) and self._is_asked(path, ignores):
                    yield from self._content(path)

    def _is_asked(self, path: str, ignores: tuple[_Ignore, ...]) -> bool:
        return path in self._also or (wanted(path) and not _is_ignored(path, ignores))

    def _is_ours(self, path: str, name: str, ignores: tuple[_Ignore, ...]) -> bool:
        """Return whether to go into a directory; notes those that are repositories."""
        if name in _OWN or path.count("/") >= _MAX_DEPTH or _is_ignored(f"{path}/", ignores):
            return any(each.startswith(f"{path}/") for each in self._also)
        if (self._root / path / ".git").exists():
            self.inner.append(self._root / path)
            return False
        return True

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / folder) as entries:
                return sorted(entries, key=lambda each: each.name)
        except OSError:
            self.refused.append(folder or ".")
            return []

    def _content(self, path: str) -> Iterator[tuple[str, bytes]]:
        data = self._read(path)
        folder, _, name = path.rpartition("/")
        if name == CHART and not any(_is_below(folder, each) for each in self.charts):
            self.charts.append(folder)
        if data is None:
            self.gaps.append(unread(path, "cannot be read, or is too large"))
            self.refused.append(path)
        else:
            yield path, data

    def _read(self, path: str) -> bytes | None:
        """Return a file's bytes; None for one that is refused or larger than is read."""
        try:
            with (self._root / path).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError:
            return None
        return data if len(data) <= MAX_FILE_BYTES else None


def _is_below(folder: str, chart: str) -> bool:
    return not chart or folder.startswith(f"{chart}/")


def _is_template(row: Declaration, chart: str) -> bool:
    """Return whether a row stands in a template of a chart, or of one within it."""
    within = _is_below(row.path, chart) and "/templates/" in f"/{row.path}"
    return within and row.kind is DeclarationKind.HELM


class Renderer:
    """Helm, which renders a chart's templates offline with the chart's own values."""

    def __init__(self) -> None:
        """Find Helm; raises UsageError where there is none."""
        found = shutil.which("helm")
        if found is None:
            raise UsageError("--render needs helm in the PATH: install it, or leave out --render")
        self._helm = found

    def rendered(
        self, root: Path, rows: list[Declaration], charts: Iterable[str]
    ) -> list[Declaration]:
        """Return the rows with those of templates replaced by what they render to.

        A chart that does not render by itself keeps its rows, and a gap says why.
        """
        for chart in charts:
            text, problem = self._template(root / chart)
            path = f"{chart}/{CHART}" if chart else CHART
            if problem is not None:
                rows.append(unread(path, f"helm template: {problem}"))
                continue
            rows = [each for each in rows if not _is_template(each, chart)]
            rows += dict.fromkeys(read_rendered(chart, text))
        return rows

    def _template(self, chart: Path) -> tuple[bytes, str | None]:
        """Run Helm; returns what it rendered, or why it did not."""
        command = [self._helm, "template", "release", os.path.abspath(chart)]  # noqa: PTH100 -- links stay
        try:
            done = subprocess.run(  # noqa: S603 -- found in the PATH, no shell
                command, capture_output=True, timeout=_RENDERING, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return b"", type(error).__name__
        if done.returncode or len(done.stdout) > MAX_FILE_BYTES:
            told = done.stderr[-_RENDERING_TOLD:].decode(errors="replace").strip().split("\n")
            return b"", told[-1] or f"exit code {done.returncode}"
        return done.stdout, None


class _Ignore:
    """One `.gitignore`, which speaks for the directory that it lies in."""

    def __init__(self, folder: str, data: bytes) -> None:
        self._folder = folder
        lines = data[:_MAX_IGNORE].decode(errors="replace").splitlines()
        try:
            self._spec = GitIgnoreSpec.from_lines(lines)
        except ValueError:  # a line that Git would not take either
            self._spec = GitIgnoreSpec.from_lines([])

    def says(self, path: str) -> bool | None:
        """Return whether a path is ignored; None where nothing is said of it."""
        return self._spec.check_file(path.removeprefix(self._folder)).include


def _is_ignored(path: str, ignores: tuple[_Ignore, ...]) -> bool:
    """Return whether a path is ignored: the innermost file that speaks of it decides."""
    said = (each.says(path) for each in reversed(ignores))
    return bool(next((each for each in said if each is not None), False))


def facts_of(root: Path, settings: Mapping[str, str]) -> Facts:
    """Return what is known of a clone: by its remote, and by the job that reads it.

    `settings` are variables named by hand.
    """
    known = _from_remote(root)
    if os.environ.get("GITLAB_CI") and root.resolve() == Path.cwd():
        known |= {name: os.environ[name] for name in _FROM_JOB if os.environ.get(name)}
    return Facts(predefined=known, settings=settings)


def _from_remote(root: Path) -> dict[str, str]:
    """Return the predefined variables that the address of `origin` tells; never its credentials."""
    try:
        config = (root / ".git" / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found = re.search(r"(?ms)^\[remote \"origin\"\][^\[]*?^\s*url\s*=\s*(\S+)", config)
    address = found[1].removesuffix("/").removesuffix(".git") if found else ""
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        return {}
    path = url.path.strip("/")
    if url.scheme in {"http", "https"} and url.hostname and "/" in path:
        host = f"{url.hostname}:{port}" if port else url.hostname
        return predefined(server_url=f"{url.scheme}://{host}", project_path=path)
    short = re.fullmatch(r"(?:ssh://)?(?:[^@/]+@)?([^:/]+)(?::[0-9]+/|[:/])(.+/.+)", address)
    if short is None:
        return {}
    # By SSH the address of the web server is not told: only names that follow from the path are.
    told = predefined(server_url=f"https://{short[1]}", project_path=short[2].strip("/"))
    return {name: text for name, text in told.items() if _follows_from_path(name)}


def _follows_from_path(name: str) -> bool:
    return name.startswith("CI_PROJECT_") and name != "CI_PROJECT_URL"
