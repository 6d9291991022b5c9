"""Where in a project's jobs the next page begins, and whether it follows on: pure.

Servers page the jobs list by an opaque cursor since 15.9. Older ones know only numbered pages, and
rows that are deleted meanwhile move the others up: page 2 would then begin below where page 1
ended. So pages overlap: a page is asked for that begins at a row already seen, and it follows on
where it shows that row or a newer one.

Either way the lowest id goes with the place: ids fall from page to page, or the list has no end.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from logminer.errors import UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

PER_PAGE = 100
"""GitLab's greatest page."""
MAX_IDLE = 10
"""Numbered pages that may show nothing new without leading further down: each time a page's worth
of new jobs came on top between two requests."""

_KEYSET, _OFFSET = "keyset", "offset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The beginning of a page; `str` and `parse` make it a text that a ledger can keep."""

    cursor: str | None = None
    """The server's own; None where its pages are numbered, and at the top."""
    index: int = 0
    """Rows above it, where pages are numbered."""
    last: int | None = None
    """The lowest id above it; None at the top."""
    low: int | None = None
    """The lowest id on the page before, where that page showed nothing new."""
    idle: int = 0
    """Pages before it, since one showed something new, that did not lead further down, either."""

    def __str__(self) -> str:
        """Return the text of a place that is not the top."""
        if self.cursor is not None:
            return f"{_KEYSET}:{self.last or ''}:{self.cursor}"
        return f"{_OFFSET}:{self.last or ''}:{self.index}:{self.low or ''}:{self.idle}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read such a text; another one is a server's bare cursor, as ledgers kept it once."""
        kind, _, rest = text.partition(":")
        last, _, where = rest.partition(":")
        lowest = int(last) if last.isdecimal() else None
        if kind == _KEYSET:
            return cls(cursor=where, last=lowest)
        if kind == _OFFSET:
            index, low, idle = where.split(":")
            return cls(index=int(index), last=lowest, low=int(low) if low else None, idle=int(idle))
        return cls(cursor=text)

    @property
    def window(self) -> tuple[int, int]:
        """Number and size of the page that holds the row above this place and reaches furthest."""
        if self.index == 0:
            return 1, PER_PAGE
        row = self.index - 1
        reach, size = max(((row // size + 1) * size, size) for size in _SIZES)
        return reach // size, size

    def below(self, what: str, ids: Sequence[int], new: Collection[int], *, end: int) -> Place:
        """Return where the numbered page after this one begins, which ended with row `end`.

        Raises UnexpectedAnswerError where the pages do not lead down.
        """
        if not ids:
            raise UnexpectedAnswerError(f"{what}: an empty page claims to have a next one.")
        if new:
            return Place(index=end, last=min(new))
        # Many jobs that came on top push the list down; their ids fall from page to page, too.
        leads_down = min(ids) > (self.last or 0) and (self.low is None or min(ids) < self.low)
        if not leads_down and self.idle == MAX_IDLE:
            raise UnexpectedAnswerError(f"{what}: the pages lead nowhere.")
        idle = self.idle if leads_down else self.idle + 1
        return Place(index=end, last=self.last, low=min(ids), idle=idle)


_SIZES = range(PER_PAGE // 2, PER_PAGE + 1)


def fresh(what: str, ids: Sequence[int], place: Place) -> set[int]:
    """Return which of a page's ids the pages before it did not show.

    Raises UnexpectedAnswerError where they do not fall: it is no list of jobs, newest first.
    """
    if any(below > above for above, below in itertools.pairwise(ids)):
        raise UnexpectedAnswerError(f"{what}: the jobs do not come newest first.")
    return {number for number in ids if place.last is None or number < place.last}


def follows_on(ids: Sequence[int], place: Place) -> bool:
    """Whether a numbered page leaves nothing out between it and the rows above `place`."""
    return place.index == 0 or place.last is None or bool(ids and ids[0] >= place.last)
