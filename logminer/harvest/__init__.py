"""One harvest: list what is new, read its traces, commit, publish.

rules      what a job's state asks for; pure
progress   what a run has done so far, and who wants to see it
listing    a project's new and changed jobs into the ledger
handout    which queued job is read next
reading    a queued job into what it contributes to the store
recording  what was read into the ledger, a batch at a time
stopping   ending early: signals
together   several things at once
run        the whole run, with its workers and its exit code
rereading  what older rules have read, once more
metrics    what a run measured, as text
estimate   what a run would do
verify     the store held against the server
"""

from logminer.harvest.estimate import Estimate, estimate
from logminer.harvest.progress import Phase, Progress, Silence, Tally
from logminer.harvest.rereading import reparse
from logminer.harvest.run import Options, harvest
from logminer.harvest.verify import Verification, verify

__all__ = [
    "Estimate",
    "Options",
    "Phase",
    "Progress",
    "Silence",
    "Tally",
    "Verification",
    "estimate",
    "harvest",
    "reparse",
    "verify",
]
