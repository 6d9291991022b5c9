"""Chance that repeats: every draw of the simulator is a function of names, never of order or time.

A generator per thing (a job, a project) instead of one for all: the trace of job 17 is the same
whether or not job 16 was ever asked for, and in every process (no `hash()`, no iteration order).
"""

from __future__ import annotations

import hashlib
import random


def dice(*parts: object) -> random.Random:
    """Return the random generator that belongs to these names, always in its first state."""
    key = "\x1f".join(map(str, parts)).encode()
    number = int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "big")
    return random.Random(number)  # noqa: S311 -- repeatable chance is the purpose, not secrecy


def chance(rng: random.Random, share: float) -> bool:
    """Return true in that share (0 to 1) of the draws."""
    return rng.random() < share


def hex64(*parts: object) -> str:
    """Return 64 lower-case hexadecimal digits that belong to these names."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()
