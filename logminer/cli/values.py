"""Flags' texts to values: lengths of time and sizes."""

from __future__ import annotations

import re
from typing import Final

from logminer.errors import UsageError

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BYTES: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}

_DURATION: Final = re.compile(r"(?:[0-9]{1,9}[dhms])+", re.ASCII)
_PART: Final = re.compile(r"([0-9]+)([dhms])", re.ASCII)
_SIZE: Final = re.compile(r"([0-9]{1,12})([kmg]?)(?:i?b)?", re.ASCII)


def seconds(text: str, *, flag: str) -> float:
    """Return the seconds of `30m`, `2h` or `1h30m`; raises UsageError, which names the flag."""
    words = text.strip().lower()
    total = 0
    if _DURATION.fullmatch(words):
        total = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(words))
    if not total:
        raise UsageError(f"{flag} {text!r} is no length of time: write 90s, 30m, 2h or 1h30m")
    return float(total)


def size(text: str, *, flag: str) -> int:
    """Return the bytes of `500K`, `20M` or `1G`; raises UsageError, which names the flag."""
    match = _SIZE.fullmatch(text.strip().lower())
    total = int(match[1]) * _BYTES[match[2]] if match else 0
    if not total:
        raise UsageError(f"{flag} {text!r} is no size: write 500K, 20M or 1G")
    return total
