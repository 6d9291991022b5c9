"""Archives of job logs, on disks and in buckets, into the store that harvests fill, too.

keys         where GitLab keeps logs, and what a place tells; pure
buckets      listing and reading objects
logs         a log's bytes, packed or not, whatever may be wrong with them
listing      a walk that finds logs
description  what GitLab's jobs table says of their jobs
selection    which logs are to be read, and how their jobs are described
reading      a batch of logs into rows: what is sent about
engines      who reads: this process, several, or a Dask cluster
processes    how processes that read begin and end
progress     what a run has done so far
run          the whole run

Names are imported when first asked for: a process that reads begins without what it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.lazy import lazily

if TYPE_CHECKING:
    from logminer.archive.description import QUERY as QUERY
    from logminer.archive.engines import EngineName as EngineName
    from logminer.archive.listing import check as check
    from logminer.archive.progress import Phase as Phase
    from logminer.archive.progress import Progress as Progress
    from logminer.archive.progress import Silence as Silence
    from logminer.archive.progress import Tally as Tally
    from logminer.archive.run import Estimate as Estimate
    from logminer.archive.run import Options as Options
    from logminer.archive.run import estimate as estimate
    from logminer.archive.run import mine as mine
    from logminer.archive.selection import MAX_PROJECT_ID as MAX_PROJECT_ID

_HOME = {
    "MAX_PROJECT_ID": "selection",
    "QUERY": "description",
    "EngineName": "engines",
    "Estimate": "run",
    "Options": "run",
    "Phase": "progress",
    "Progress": "progress",
    "Silence": "progress",
    "Tally": "progress",
    "check": "listing",
    "estimate": "run",
    "mine": "run",
}
__all__ = sorted(_HOME)  # noqa: PLE0605 -- a list, computed: the names stand once

__getattr__, __dir__ = lazily(__name__, _HOME)
