"""Verbs: questions about harvested jobs, each one SQL statement, each answered by a DataFrame.

    >>> logminer.analysis.top_repositories(store, period="last-quarter")

Every verb takes a store, or a DataFrame with the columns of `Store.images()` (`Store.jobs()` for
`coverage`), and the moments of `When`: `period`, or `since` and `until`, or none for everything.
The answer has a fixed set of columns with fixed types, also when it has no row, and the index
counts from 0.

Words that mean the same in every answer:

* use: one row of `images`, that is one image in one role of one job;
* pull: a use whose outcome is `pulled` (the registry was asked and the image obtained);
* failed: a use whose outcome is `failed` (the image could not be obtained by any policy);
* project, job: counted by (`instance`, id), because two servers may give the same id;
* declared, and what it is held against: see `drift`, a module of verbs of its own;
* a job belongs to the moment it started, or was created if it never started.

pandas, pyarrow and DuckDB are imported by the first question, not by this package, because
the command line imports it for every command.
"""

from __future__ import annotations

from logminer.analysis import drift
from logminer.analysis.failures import failed_pulls
from logminer.analysis.jobs import coverage
from logminer.analysis.pulls import (
    by_registry,
    by_role,
    pulls_over_time,
    top_repositories,
    totals,
)
from logminer.analysis.source import Source
from logminer.analysis.when import Moment, When

__all__ = [
    "Moment",
    "Source",
    "When",
    "by_registry",
    "by_role",
    "coverage",
    "drift",
    "failed_pulls",
    "pulls_over_time",
    "top_repositories",
    "totals",
]
