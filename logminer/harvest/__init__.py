"""One harvest: list what is new, read its traces, commit, publish.

rules      what a job's state asks for; pure
progress   what a run has done so far, and who wants to see it
listing    a project's new and changed jobs into the ledger
reading    a queued job into what it contributes to the store
run        the whole run, with its workers, its signals and its exit code
"""

from logminer.harvest.progress import Progress, Tally
from logminer.harvest.run import Options, harvest

__all__ = ["Options", "Progress", "Tally", "harvest"]
