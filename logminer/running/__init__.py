"""What every run against a server has, whatever it reads.

tally      its figures, and who wants to see them
stopping   ending early: signals
run        its budget, its failures, its end
"""

from logminer.running.run import HOPELESS, OUT_OF_TIME, Run, gather
from logminer.running.tally import Phase, Progress, RunTally, Silence

__all__ = [
    "HOPELESS",
    "OUT_OF_TIME",
    "Phase",
    "Progress",
    "Run",
    "RunTally",
    "Silence",
    "gather",
]
