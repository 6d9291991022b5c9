"""How the server behaves, where servers differ: every switch in one frozen value.

A test may give a running server another one at any time; see `Server.behaviour`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from logminer.simulator.age import Age
from logminer.simulator.requests import check_kinds

if TYPE_CHECKING:
    from logminer.simulator.faults import Faults

VERSION = "19.3.1-ee"

LimitHeaders = Literal["honest", "on_429", "absent", "plenty", "nothing_left"]
RetryAfter = Literal["seconds", "date", "absent"]
ThrottleBody = Literal["text", "json", "html"]
Paging = Literal["honest", "overlap", "endless", "loop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """A server's behaviour; the defaults are those of a healthy one of today."""

    version: str = VERSION
    """What `/version` says, and what the server knows: see `age`."""

    # -- traffic ----------------------------------------------------------------------------
    latency: float = 0.0
    """Seconds by which every answer is late."""
    gzip: bool = False
    """Whether bodies are compressed for clients that accept it, as NGINX before GitLab does."""
    chunked: bool = False
    """Whether traces come without a `Content-Length`."""
    ranges: bool = False
    """Whether `Range` is honoured on archived traces, as it is where Workhorse streams them."""

    # -- limits -----------------------------------------------------------------------------
    requests_per_minute: int | None = None
    """More than these are answered with 429; None: no limit."""
    jobs_lists_per_minute: int | None = None
    """The jobs list's own limit, whose 429 has a JSON body and no RateLimit headers."""
    window: float = 60.0
    """Seconds after which both limits start anew: a "minute" that a test can wait for."""
    limit_headers: LimitHeaders = "honest"
    """`RateLimit-*`: true, only on 429, never, or a lie (always plenty, never anything left)."""
    retry_after: RetryAfter = "seconds"
    """How a 429 and a 503 say when to come again."""
    throttle_body: ThrottleBody = "text"
    """Who says 429: GitLab's two limiters, or a proxy before it, which knows no RateLimit."""
    blocked_from: int | None = None
    """From this request of the server on (0: the first) everything is 403: an IP block."""
    blocked_for: int | None = None
    """How many requests the block lasts; None: for ever."""
    revoked: bool = False
    """Whether the token is no longer valid."""

    # -- faults -----------------------------------------------------------------------------
    faults: tuple[Faults, ...] = ()
    """What goes wrong, how often and where; of several that would hit, the first does."""
    pages: Paging = "honest"
    """All lists: true; each page repeats rows of the one before, as when rows
    are added above; the last page comes again for ever; the next page is the first again."""
    offset_cap: int | None = 50_000
    """The deepest row that offset paging reaches in lists of jobs and projects."""
    largest_page: int = 100
    """The most rows of a page of pipelines, or of jobs by keyset: few make many pages of few."""
    empty: frozenset[str] = frozenset()
    """Kinds of requests that are answered with nothing, although there is something."""
    clock_skew: float = 0.0
    """Seconds by which the `Date` header is wrong."""

    # -- repositories -----------------------------------------------------------------------
    blob_search: bool = False
    """Whether files can be searched for."""
    archive_refused: bool = False
    """Whether archives are answered with 406, as for one that is too large or too slow to make."""
    tells_sizes: bool = True
    """Whether projects tell how large they are, which takes a Reporter."""

    # -- life -------------------------------------------------------------------------------
    seconds_per_request: float = 0.0
    """By how much the company lives on with every request."""
    archives: bool = True
    """Whether finished logs become artifacts, whose size the job's JSON tells."""
    growing: bool = False
    """Whether a finished log goes on growing until it is an artifact."""

    def __post_init__(self) -> None:
        """Refuse what would silently mean nothing."""
        Age.of(self.version)
        check_kinds(self.empty)
