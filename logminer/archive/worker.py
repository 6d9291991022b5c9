"""What every reading process needs, had once: only the server that forks them imports this."""

from __future__ import annotations

import threading

from logminer.trace import prepare

# The rules are compiled for all processes, on one core, while the other imports the rest.
compiling = threading.Thread(target=prepare)
compiling.start()

import logminer.archive.processes  # noqa: E402
import logminer.archive.reading  # noqa: E402, F401 -- with all that it imports

compiling.join()
