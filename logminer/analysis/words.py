"""The words that every answer shares, as SQL: written once, so that they mean the same everywhere.

Constants only; nothing here takes a value from outside.
"""

from __future__ import annotations

from typing import Final

PULLS: Final = "count(*) FILTER (outcome = 'pulled')"
FAILED: Final = "count(*) FILTER (outcome = 'failed')"
PROJECTS: Final = "count(DISTINCT (instance, project_id))"
JOBS: Final = "count(DISTINCT (instance, job_id))"

SHARE: Final = f"{PULLS} / nullif(sum({PULLS}) OVER (), 0)"
"""Part of all pulls: of all groups, so no row may be left out before they are made."""

LINKED: Final = ("job_id", "job_url", "line")
"""The columns that evidence is made of; where a frame lacks them, there is none."""

_NEWEST: Final = """
    max(row(job_id, -line, job_url)) FILTER (
        job_id IS NOT NULL AND line IS NOT NULL AND job_url IS NOT NULL AND {of}
    )
"""


def evidence(of: str = "true") -> str:
    """Return the address of the line in a job log that shows one of the rows counted.

    Of those rows that are so it is one of the newest job, which has the largest id; of its rows the
    one that stands first in its log. Where jobs of two servers have that id and line, it is the
    address that sorts last.
    """
    newest = _NEWEST.format(of=of)
    return f"{newest}[3] || '#L' || -{newest}[2]"


EVIDENCE: Final = evidence()

SOURCE_REGISTRY: Final = "coalesce(rows.upstream_registry, rows.registry)"
SOURCE_REPOSITORY: Final = "coalesce(rows.upstream_repository, rows.repository)"
"""Where the image truly comes from, seen through a proxy."""

FEW: Final = 10
"""Names that an answer lists in one cell; the count beside them tells how many there are."""


def few(column: str) -> str:
    """Return the first distinct values of a text column, by name, as one text."""
    distinct = f"list_sort(list(DISTINCT {column}) FILTER ({column} IS NOT NULL))"
    return f"array_to_string(({distinct})[1:{FEW}], ', ')"
