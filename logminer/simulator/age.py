"""What a GitLab of a certain version knows: parameters, fields and headers that came with time.

Where GitLab's documentation names the release it is that one. Where it does not (marked "placed"),
the release only stands for "an older server lacks it", which is what a client must cope with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_FIELDS_OF_A_JOB = {
    "erased_at": (15, 5),  # placed
    "runner_manager": (16, 1),  # placed
    "archived": (16, 5),  # placed
    "source": (17, 3),  # placed
}
_FIELDS_OF_ITS_PIPELINE = {"source": (14, 3)}  # placed


@dataclass(frozen=True, slots=True)
class Age:
    """A version of GitLab, major and minor."""

    release: tuple[int, int]

    @classmethod
    def of(cls, version: str) -> Age:
        """Return the age of a version as `/version` says it, `16.4.1-ee`; ValueError if none."""
        match = re.match(r"(\d+)\.(\d+)", version)
        if match is None:
            raise ValueError(f"{version!r} is no version of GitLab: write it like 16.4.1-ee")
        return cls((int(match[1]), int(match[2])))

    @property
    def pages_jobs_by_keyset(self) -> bool:
        """Whether the jobs list knows `pagination=keyset`; before, it is ignored."""
        return self.release >= (15, 9)

    @property
    def limits_the_jobs_list(self) -> bool:
        """Whether the jobs list has a rate limit of its own."""
        return self.release >= (16, 5)

    @property
    def redirects_moved_projects(self) -> bool:
        """Whether the old path of a project leads to its id; before (placed), it is unknown."""
        return self.release >= (16, 4)

    @property
    def lists_child_pipelines(self) -> bool:
        """Whether `source=parent_pipeline` is a value the pipelines list accepts."""
        return self.release >= (17, 0)

    @property
    def tells_limits_always(self) -> bool:
        """Whether `RateLimit-*` stand on every answer (placed); before, on 429 alone."""
        return self.release >= (18, 0)

    def job(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take from a job's JSON what this version does not know; returns the same object."""
        for field, since in _FIELDS_OF_A_JOB.items():
            if self.release < since:
                body.pop(field, None)
        for field, since in _FIELDS_OF_ITS_PIPELINE.items():
            if self.release < since:
                body["pipeline"].pop(field, None)
        return body
