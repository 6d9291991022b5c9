"""Chance that something goes wrong with a request, and what.

The dice belongs to the seed, the path and how often that path was asked for: which requests fail
depends neither on their order nor on how many are under way at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from logminer.simulator.dice import dice
from logminer.simulator.requests import check_kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

Fault = Literal[
    "reset",  # the connection breaks before the answer
    "reset_midbody",  # it breaks in the middle of the body
    "truncated",  # it is closed in order, but before `Content-Length` bytes
    "torn",  # it is closed in order, but before the last chunk
    "short",  # half of the body, well-formed: only the artifact's size tells
    "short_length",  # `Content-Length` is smaller than what follows on the connection
    "bad_gzip",  # says gzip, is noise
    "cut_gzip",  # a gzip stream without its end
    "gzip_bomb",  # 1 GiB of zeros in 1 MiB
    "stall",  # not a byte for some seconds, then the connection breaks
    "drip",  # the body comes byte by byte
    "huge_headers",  # 1 MiB of headers
    "endless_headers",  # headers until somebody hangs up
    "huge_json",  # a JSON array until somebody hangs up
    "deep_json",  # a million brackets
    "error_500",
    "error_502",
    "error_503",  # with `Retry-After`
    "throttled",  # 429, and so are the requests that follow: `burst`
    "login_page",  # 200 and HTML
    "nothing",  # 204
    "redirect_same",  # to the same path, which then answers
    "redirect_elsewhere",  # to another origin
    "redirect_private",  # to an address nobody should be sent to
    "redirect_loop",  # from there to itself, for ever
]

STORM: tuple[Fault, ...] = (
    "reset",
    "reset_midbody",
    "truncated",
    "torn",
    "stall",
    "error_500",
    "error_502",
    "error_503",
    "throttled",
)
"""Everyday faults, which asking again mends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """A share of the requests that fail, and how."""

    rate: float
    """How many of the requests fail, 0 to 1."""
    kinds: tuple[Fault, ...] = STORM
    """The ways of failing, each as likely as the others."""
    on: frozenset[str] = frozenset()
    """The kinds of requests that may fail; empty: all."""
    seed: int = 0
    in_a_row: int | None = None
    """A path fails at most so many times in a row; None: as often as the dice says."""
    seconds: float = 1.0
    """How long a stall lasts, how long between two bytes of a drip, what `Retry-After` says."""
    burst: int = 1
    """How many requests in a row are refused by one `throttled`."""
    elsewhere: str = "http://localhost:9"
    """The origin to which `redirect_elsewhere` leads; nobody listens at that of the default."""
    private: str = "http://127.0.0.1:9"
    """The origin to which `redirect_private` leads: an address that is private to this machine."""

    def __post_init__(self) -> None:
        """Refuse ways of failing that do not exist: a typing error must not mean "no fault"."""
        unknown = set(self.kinds) - set(get_args(Fault))
        if unknown:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
        check_kinds(self.on)


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that fails."""

    fault: Fault
    by: Faults


class FaultDice:
    """Says of each request whether it fails; one for each running server."""

    def __init__(self) -> None:
        """Begin: nothing was asked for yet."""
        self._asked: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._spared: set[str] = set()
        self._burst: tuple[int, Faults] | None = None

    def throw(self, faults: Sequence[Faults], kind: str, path: str) -> Hit | None:
        """Return what goes wrong with this request of that kind; None: nothing."""
        self._asked[path] += 1
        if path in self._spared:
            self._spared.remove(path)
            return None
        hit = self._rest_of_burst(faults, kind)
        for number, each in enumerate(faults):
            hit = hit or self._throw(each, number, kind, path)
        if hit is None:
            self._in_a_row[path] = 0
            return None
        self._in_a_row[path] += 1
        if hit.fault == "redirect_same":
            self._spared.add(path)
        return hit

    def _throw(self, faults: Faults, number: int, kind: str, path: str) -> Hit | None:
        if not faults.rate or not _concerns(faults, kind):
            return None
        if faults.in_a_row is not None and self._in_a_row[path] >= faults.in_a_row:
            return None
        rng = dice("fault", faults.seed, number, path, self._asked[path])
        if rng.random() >= faults.rate:
            return None
        fault = rng.choice(faults.kinds)
        if fault == "throttled" and faults.burst > 1:
            self._burst = faults.burst - 1, faults
        return Hit(fault, faults)

    def _rest_of_burst(self, faults: Sequence[Faults], kind: str) -> Hit | None:
        if self._burst is None:
            return None
        left, by = self._burst
        if by not in faults:
            self._burst = None
            return None
        if not _concerns(by, kind):
            return None
        self._burst = (left - 1, by) if left > 1 else None
        return Hit("throttled", by)


def _concerns(faults: Faults, kind: str) -> bool:
    return not faults.on or kind in faults.on
