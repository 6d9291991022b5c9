"""Where something stands: one pass of Hyperscan over the bytes, every rule at once.

Measured choice (design.md): a regular expression for each line reads 8-60 MB/s on a core, Hyperscan
670-840.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol, cast

import hyperscan

from logminer.trace.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

CONTINUATION: Final = len(RULES)
"""What `scan` reports for a prefix that continues a line, beside the indexes of `RULES`."""

SHARING: Final = (
    *(tuple(n for n, other in enumerate(RULES) if other.find == rule.find) for rule in RULES),
    (),
)
"""For each rule, those that are found by the same expression; `scan` reports the first of them.
None for a continuation."""

SECTION: Final = next(n for n, rule in enumerate(RULES) if rule.name == "runner.section")
"""The most frequent hit of all: worth a way of its own."""

CONTINUED: Final = b"|".join(rb"Z [0-9a-f][0-9a-f]%c\+" % kind for kind in b"OE")
"""The end of such a prefix; as two literals it is found at twice the speed."""

BITS: Final = 8
"""Of a packed hit: below them its index into `SHARING`, above them where it ends."""

INDEX: Final = (1 << BITS) - 1
"""What is below these bits."""

_local = threading.local()


class _Database(Protocol):
    """What is used of Hyperscan: typed here, at the border, because its own types are wrong."""

    def compile(
        self, *, expressions: list[bytes], ids: list[int], elements: int, flags: list[int]
    ) -> None:
        """Compile expressions, each under its id."""

    def scan(
        self,
        data: bytes | memoryview,
        *,
        match_event_handler: Callable[[int, int, int, int, list[int]], None],
        context: list[int],
        scratch: object,
    ) -> None:
        """Call the handler for each match."""


class Scanner:
    """The compiled database with a scratch space of its own: for one thread at a time."""

    def __init__(self) -> None:
        """Take the database, compiled now where nobody has."""
        self._database = _database()
        self._scratch = hyperscan.Scratch(cast("hyperscan.Database", self._database))

    def scan(self, data: bytes | memoryview) -> list[tuple[int, int]]:
        """Return (end, index into `SHARING`) for each match, sorted; matches may overlap."""
        return [(hit >> BITS, hit & INDEX) for hit in self.packed(data)]

    def packed(self, data: bytes | memoryview) -> list[int]:
        """Return the same, each match as one number: half the objects, and sorted faster."""
        hits: list[int] = []
        self._database.scan(data, match_event_handler=_collect, context=hits, scratch=self._scratch)
        hits.sort()
        return hits


def prepare() -> None:
    """Compile the rules, unless somebody has; other threads run meanwhile."""
    _database()


@cache
def _database() -> _Database:
    """Compile every rule's `find`: a tenth of a second.

    Without a lock, which a process that is forked meanwhile would wait for in vain: two threads may
    compile at once, and one result is kept.
    """
    finds = {rule.find: min(SHARING[n]) for n, rule in enumerate(RULES)}
    finds[CONTINUED] = CONTINUATION
    database = cast("_Database", hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK))
    database.compile(
        expressions=list(finds),
        ids=list(finds.values()),
        elements=len(finds),
        flags=[0] * len(finds),
    )
    return database


def _collect(index: int, _start: int, end: int, _flags: int, hits: list[int]) -> None:
    """Keep one match; Hyperscan calls this for each."""
    hits.append(end << BITS | index)


def scanner() -> Scanner:
    """Return this thread's scanner: the database is everybody's, the scratch space is not."""
    found: Scanner | None = getattr(_local, "scanner", None)
    if found is None:
        found = _local.scanner = Scanner()
    return found
