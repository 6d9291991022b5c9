"""A project's repository as of a day: its files, the commit its default branch is at, its archive.

Everything is a function of the seed, the project and the day; the commit is one of the content, so
the branch moves exactly when a file changes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from logminer.simulator.configuration import Configuration, configuration
from logminer.simulator.dice import dice
from logminer.simulator.manifests import manifests, noise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from logminer.simulator.declared import Declared
    from logminer.simulator.organisation import Project
    from logminer.simulator.recipes import Adoption, Template

BRANCH = "main"
_SECOND = 1_750_000_000
"""The time of every file in an archive: `git archive` takes the commit's."""


_EMPTY, _WITHOUT_LINT, _CLOSED = 9, 7, 10
"""The first project of each kind, by number, as in `organisation`."""


def is_empty(project: Project) -> bool:
    """Return whether nobody ever pushed anything."""
    return project.number % 37 == _EMPTY


def lint_forbidden(project: Project) -> bool:
    """Return whether the token's user may not ask the lint endpoint."""
    return project.number % 23 == _WITHOUT_LINT or not project.ci_enabled


def is_closed(project: Project) -> bool:
    """Return whether the token's user may see the project but not its files."""
    return project.number % 31 == _CLOSED


@dataclass(frozen=True)
class Repository:
    """What stands on the default branch."""

    files: Mapping[str, bytes]
    configuration: Configuration
    declared: tuple[Declared, ...]
    """What the files declare, in no order."""

    @cached_property
    def commit(self) -> str:
        """The commit: 40 hexadecimal digits that belong to this content."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(f"{path}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()[:40]

    @cached_property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))

    def archive(self, name: str) -> bytes:
        """Return the tar.gz that GitLab makes: everything below one directory."""
        packed = io.BytesIO()
        prefix = f"{name}-{self.commit}-{self.commit}"
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as zipped,
            tarfile.open(
                fileobj=zipped,
                mode="w|",
                format=tarfile.PAX_FORMAT,
                pax_headers={"comment": self.commit},
            ) as archive,
        ):
            archive.addfile(_entry(f"{prefix}/", None))
            for path, content in sorted(self.files.items()):
                archive.addfile(_entry(f"{prefix}/{path}", content), io.BytesIO(content))
        return packed.getvalue()


def _entry(name: str, content: bytes | None) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime = _SECOND
    entry.mode = 0o664
    if content is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o775
    else:
        entry.size = len(content)
    return entry


def repository(  # noqa: PLR0913, PLR0917 -- what it is a function of
    project: Project,
    templates: Sequence[Template],
    habits: Adoption,
    day: int,
    files: int,
    pushed: Mapping[str, bytes | None],
) -> Repository:
    """Return the repository of a project on that day, with so many files in all.

    Some projects still name images on their default branch as they did before they went behind a
    proxy, though every job of theirs goes through it. `pushed` are files that people changed (or,
    None, removed) by hand; what is planted in a file that they changed is planted no more.
    """
    if project.number % 11 == 4:  # noqa: PLR2004 -- one in eleven, as the others below
        day = min(day, habits.since - 1)
    written = configuration(project, templates, habits, day)
    sheets = [*written.sheets, *manifests(project, templates, habits, day)]
    contents = {sheet.path: sheet.content for sheet in sheets}
    period = 1 + dice("moves", project.id).randrange(9)
    contents |= noise(project, max(0, files - len(contents)), (day + project.id) // period)
    for path, content in pushed.items():
        contents.pop(path, None)
        if content is not None:
            contents[path] = content
    declared = [each for sheet in sheets if sheet.path not in pushed for each in sheet.declared]
    return Repository(
        files=contents,
        configuration=written,
        declared=tuple(declared),
    )
