"""What every reading process needs, had once: only the server that forks them imports this."""

from __future__ import annotations

import logminer.archive.reading  # noqa: F401 -- with all that it imports
from logminer.trace.scanner import scanner

scanner()  # compiled for all of them
