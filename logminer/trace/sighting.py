"""What the extractor saw, line by line: for whoever asks why a row is there, or why it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logminer.model import Role

MAX_TEXT = 300
"""Characters of a line that are shown."""


class Verdict(StrEnum):
    """Whether a line that a rule read is believed, and if not, why."""

    RUNNER = "runner"
    """Believed: the runner printed it, or it is a border between the runner and the script."""
    SCRIPT = "script"
    """Believed: a tool in the job's script printed it."""
    AFTER_BORDER = "after_border"
    """The runner's wording where a script may have forged it: it can only strengthen a row."""
    BEFORE_BORDER = "before_border"
    """A tool's wording before any script ran."""
    WRONG_STREAM = "wrong_stream"
    """The timestamps say that somebody else printed it."""
    NOT_DRESSED = "not_dressed"
    """Not in the colours in which the runner's logger prints it."""
    NOT_ALONE = "not_alone"
    """Something else stands before it on its physical line."""
    WRONG_EXECUTOR = "wrong_executor"
    """The job's executor says no such thing."""
    SERVICE = "service"
    """A service container printed it."""
    CUT = "cut"
    """The line ends in an image and was cut there: the name may go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A line that a rule read."""

    line: int
    """The physical line, from 1."""
    offset: int
    """Byte where the physical line begins."""
    section: str | None
    """The runner's section that was open."""
    stream: str | None
    """Two hex digits and `O` or `E`; None without timestamps."""
    rule: str
    text: str
    """What the rule read: without the runner's colours, at most `MAX_TEXT` characters."""
    verdict: Verdict
    ordinal: int | None
    """Of the row that the line touched, as the rows stood then; None if it touched none."""
    role: Role | None
    image: str | None
