"""Archives of job logs, on disks and in buckets, into the store that harvests fill, too.

keys         where GitLab keeps logs, and what a place tells; pure
buckets      listing and reading objects
logs         a log's bytes, packed or not, whatever may be wrong with them
listing      a walk that finds logs
description  what GitLab's jobs table says of their jobs
selection    which logs are to be read, and how their jobs are described
reading      a batch of logs into rows: what is sent about
engines      who reads: this process, several, or a Dask cluster
progress     what a run has done so far
run          the whole run
"""

from logminer.archive.description import QUERY
from logminer.archive.engines import EngineName
from logminer.archive.listing import check
from logminer.archive.progress import Phase, Progress, Silence, Tally
from logminer.archive.run import Estimate, Options, estimate, mine
from logminer.archive.selection import MAX_PROJECT_ID

__all__ = [
    "MAX_PROJECT_ID",
    "QUERY",
    "EngineName",
    "Estimate",
    "Options",
    "Phase",
    "Progress",
    "Silence",
    "Tally",
    "check",
    "estimate",
    "mine",
]
