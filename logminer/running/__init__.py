"""What every run against a server has, whatever it reads.

tally      its figures, and who wants to see them
stopping   ending early: signals
run        its budget, its failures, its end, and how a ledger remembers it
"""

from logminer.running.run import HOPELESS, Run, gather, new_run_id, remembered
from logminer.running.tally import Phase, Progress, RunTally, Silence

__all__ = [
    "HOPELESS",
    "Phase",
    "Progress",
    "Run",
    "RunTally",
    "Silence",
    "gather",
    "new_run_id",
    "remembered",
]
