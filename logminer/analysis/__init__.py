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
* a job belongs to the moment it started, or was created if it never started;
* evidence: the address of a line in a job log (`job_url#L<line>`) that shows one of the rows that a
  figure counts: of those that have an address, the newest job's (the largest id), and of its rows
  the first in the log; null where no row has one or the frame has no column `job_url`, `job_id` or
  `line`. All of them: the verb `evidence`.

The verbs by the question they answer:

    for how many jobs does the store speak, what is missing   coverage, gaps
    how much, and when                                        totals, pulls_over_time
    of what                                   by_registry, by_role, top_repositories
    what came, went, is no longer used        first_and_last_seen, new_and_gone
    what can change under an unchanged name   digest_drift, unpinned
    what could not be obtained, and why       failed_pulls, failed_pulls_over_time
    who uses up our limit, who goes beside our proxy
                                              docker_hub_pressure, proxy_bypass, bypassed
    who depends on these names                exposure
    what is declared, held against all that   drift, a module of verbs of its own
    which lines of which logs say so          evidence
    anything else, in SQL                     query, stream

A verb answers with plain rows, too: `by_registry.rows(store, period="2026-Q3")` is a list of dicts
with the same columns, datetimes for times and None for what is missing, and needs no pandas.

pandas, pyarrow and DuckDB are imported by the first question, not by this package, because
the command line imports it for every command.
"""

from __future__ import annotations

from logminer.analysis import drift
from logminer.analysis.change import first_and_last_seen, new_and_gone
from logminer.analysis.evidence import Filters, evidence
from logminer.analysis.exposure import exposure
from logminer.analysis.failures import failed_pulls, failed_pulls_over_time
from logminer.analysis.hub import bypassed, docker_hub_pressure, proxy_bypass
from logminer.analysis.jobs import coverage, gaps
from logminer.analysis.pulls import (
    by_registry,
    by_role,
    pulls_over_time,
    top_repositories,
    totals,
)
from logminer.analysis.query import query, stream
from logminer.analysis.source import Source
from logminer.analysis.split import Split
from logminer.analysis.tags import digest_drift, unpinned
from logminer.analysis.when import Moment, When

__all__ = [
    "Filters",
    "Moment",
    "Source",
    "Split",
    "When",
    "by_registry",
    "by_role",
    "bypassed",
    "coverage",
    "digest_drift",
    "docker_hub_pressure",
    "drift",
    "evidence",
    "exposure",
    "failed_pulls",
    "failed_pulls_over_time",
    "first_and_last_seen",
    "gaps",
    "new_and_gone",
    "proxy_bypass",
    "pulls_over_time",
    "query",
    "stream",
    "top_repositories",
    "totals",
    "unpinned",
]
