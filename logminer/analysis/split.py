"""By what an answer can be split: registry, repository, project, role or runner.

A split has a key, which tells two groups apart, and a name, which people read. Projects and runners
are told apart by their id on their server, and named as they were called last: a project that moved
is one group, and two runners of one description are two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from logminer.errors import UsageError

Split: TypeAlias = Literal["registry", "repository", "project", "role", "runner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """How rows fall into groups; both texts are SQL over `rows`."""

    columns: tuple[str, ...]
    key: str
    name: str

    @property
    def newest(self) -> str:
        """The name that a group had last."""
        return self.key if self.name == self.key else f"arg_max({self.name}, job_id)"


_REPOSITORY = "registry || '/' || repository"

KEYS: Final[dict[Split, Key]] = {
    "registry": Key(columns=("registry",), key="registry", name="registry"),
    "repository": Key(columns=("registry", "repository"), key=_REPOSITORY, name=_REPOSITORY),
    "project": Key(
        columns=("project_id", "project_path"),
        key="instance || ' ' || project_id",
        name="project_path",
    ),
    "role": Key(columns=("role",), key="role", name="role"),
    "runner": Key(
        columns=("runner_id", "runner_description"),
        key="instance || ' ' || runner_id",
        name="coalesce(runner_description || ' ', '') || '#' || runner_id",
    ),
}

NAME: Final = """
    CASE WHEN count(*) OVER (PARTITION BY name) > 1 AND name IS NOT NULL
         THEN instance || '/' || name ELSE name END
"""
"""The name of a group; where two servers have the same one, the server's stands before it."""


def known(split: str) -> Split:
    """Return the split of this name; raises UsageError where there is none."""
    for each in KEYS:
        if each == split:
            return each
    raise UsageError(f"a split is one of {', '.join(get_args(Split))}, not {split!r}")
