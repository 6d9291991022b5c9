"""Which rule reads a line, and what it reads there: the same bytes always give the same answer.

So it is remembered: a runner prints the same sentences into every log of a company.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

from logminer.trace.failures import ends_in_image
from logminer.trace.framing import strip, undress
from logminer.trace.rules import RULES, Rule, Speaker

if TYPE_CHECKING:
    import re

    from logminer.trace.rules import Dress

_REMEMBERED: Final = 2048
"""Lines; with their matches less than 4 MiB."""
SHORT: Final = 512
"""Bytes of a line that is remembered: most of the runner's sentences have below 250."""


@final
class Reading:
    """What a rule read in a line."""

    __slots__ = ("dress", "ends_in_image", "match", "name", "rule", "speaker")

    def __init__(self, rule: Rule, match: re.Match[bytes], dress: Dress | None) -> None:
        """Take what was read."""
        self.rule = rule
        self.name = rule.name
        self.speaker = rule.speaker
        """Both of the rule: asked for at each line, and quickest where the line's reading is."""
        self.match = match
        self.dress = dress
        """None where only the words count."""
        self.ends_in_image = bool(rule.naming) and _ends_in_image(rule.naming, match)
        """Whether what is taken for an image reaches to the line's end: a cut would not show."""


def read(body: bytes, rules: tuple[int, ...], dressed: bool) -> Reading | None:  # noqa: FBT001 -- a cache's key is positional
    """Return what the first of these rules reads that can read the line; None if none can.

    `dressed` says that the runner's sentences wear its logger's colours in this log.
    """
    bare = text = dress = None
    for index in rules:
        rule = RULES[index]
        if dressed and rule.speaker is Speaker.RUNNER:
            if text is None:
                text, dress = undress(body)
            match = rule.read.match(text)
        else:
            if bare is None:
                bare = strip(body)
            anywhere = rule.speaker is Speaker.SCRIPT
            match = rule.read.search(bare) if anywhere else rule.read.match(bare)
        if match is not None:
            return Reading(rule, match, dress)
    return None


def _ends_in_image(naming: tuple[str, ...], match: re.Match[bytes]) -> bool:
    """Whether the line ends in an image, be it one that only an error text names."""
    end = len(match.string)
    return any(
        match.end(group) == end and (group == "image" or ends_in_image(match[group]))
        for group in naming
    )


remembered = lru_cache(_REMEMBERED)(read)
"""The same for lines of up to `SHORT` bytes."""
