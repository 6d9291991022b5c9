"""One inventory: what projects declare on their default branches, read over the API into a store.

unpacking  an archive into the files that may declare something, within bounds
reading    a project into what it declares: archive, else tree and files; the server's merged CI
progress   what an inventory has done so far
run        the whole run, with its workers
"""

from logminer.snapshot.progress import SnapshotTally
from logminer.snapshot.run import SnapshotOptions, take_inventory

__all__ = ["SnapshotOptions", "SnapshotTally", "take_inventory"]
