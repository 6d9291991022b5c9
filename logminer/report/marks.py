"""Bars and sparklines out of characters, with a form for consoles that know ASCII only.

All in whole numbers, so that no rounding of fractions ever moves a mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_LEVELS = "▁▂▃▄▅▆▇█"
_LEVELS_ASCII = "12345678"


def bar(part: int, whole: int, width: int, *, ascii_only: bool = False) -> str:
    """Return a bar as long as a part of a whole, where the whole is `width` characters.

    Rounded up to an eighth of a character (to a character in ASCII): what is more than nothing
    is seen.
    """
    if ascii_only:
        return "#" * -(-part * width // whole)
    full, eighths = divmod(-(-part * width * 8 // whole), 8)
    return "█" * full + _EIGHTHS[eighths]


def spark(values: Iterable[int], peak: int, *, ascii_only: bool = False) -> str:
    """Return a character for each count, as high as its part of `peak`; a dot is nought."""
    levels, nought = (_LEVELS_ASCII, ".") if ascii_only else (_LEVELS, "·")
    return "".join(
        levels[-(-value * len(levels) // peak) - 1] if value else nought for value in values
    )
