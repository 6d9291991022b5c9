"""The one way to the server: every request of a harvest, discovery's excepted, is sent here.

Straight aiohttp: what a client library could add (cookies, redirects, hooks, decoding) is not
wanted, and costs more than the exchange itself. Only this module knows the library.

The token is sent to the configured origin and nowhere else: a redirect is followed by hand, and
only within the origin. Only GET is ever sent, so every request may be repeated.
What aiohttp raises is never chained to: its errors hold the request, and that the token.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import certifi
from yarl import URL

from logminer import __version__
from logminer.errors import (
    ConnectionFailedError,
    LogminerError,
    NotGitLabError,
    RateLimitedError,
    RetryableError,
    ServerError,
    UnavailableError,
    UnexpectedAnswerError,
    UsageError,
)
from logminer.gitlab import protocol
from logminer.gitlab.budget import Budget
from logminer.gitlab.encoding import Identity, decoder
from logminer.gitlab.pacing import Pacer
from logminer.gitlab.patience import OutOfPatienceError, Patience
from logminer.gitlab.retry import RetryPolicy, stated_wait
from logminer.gitlab.settings import CONNECT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from types import TracebackType

    from logminer.gitlab.patience import Wait
    from logminer.gitlab.settings import Settings

USER_AGENT: Final = f"logminer/{__version__}"
ANSWER_SECONDS: Final = 300.0
"""The whole of one request and its JSON answer."""
LONG_SECONDS: Final = 1_800.0
"""The whole of one trace or archive: 100 MB, GitLab's limit of a trace, at less than half a megabit
a second."""
REFUSAL_SECONDS: Final = 60.0
"""The body of an answer that refuses: its status says nearly everything."""
MAX_ERROR_BYTES: Final = 65_536
"""How much of an error's body is read: GitLab's are one line."""
READ_BYTES: Final = 131_072
"""A connection is read on while less than twice this waits to be taken in."""
MAX_REDIRECTS: Final = 3

_LOG = logging.getLogger(__name__)
_WIRE_ERRORS = (aiohttp.ClientError, OSError)
_OK: Final = frozenset({200})
_TOO_LONG: Final = "the answer takes too long"


class Kind(StrEnum):
    """What a request asks for."""

    VERSION = "version"
    JOBS = "jobs"
    """A page of a project's jobs: has a limit of its own."""
    JOB = "job"
    PIPELINES = "pipelines"
    PIPELINE_JOBS = "pipeline_jobs"
    TRACE = "trace"
    BRANCH = "branch"
    LINT = "lint"
    ARCHIVE = "archive"
    TREE = "tree"
    FILE = "file"
    SEARCH = "search"


_LONG: Final = frozenset({Kind.TRACE, Kind.ARCHIVE})
"""What may take much longer than a JSON answer."""

_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class Counts:
    """What a client has done so far."""

    requests: Counter[Kind] = field(default_factory=Counter)
    """Requests sent, repeated and redirected ones included."""
    answers: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    """Answers by what was asked and the class of the status: `2xx`, `4xx`, …"""
    retries: int = 0
    rate_limited: int = 0
    """Answers of 429."""
    received: int = 0
    """Bytes of bodies as they came over the wire."""
    skipped_jobs: int = 0
    """Rows of job lists that could not be understood."""


class Wire:
    """Requests to one server: paced, within a budget, retried; use it as `async with`."""

    def __init__(  # noqa: PLR0913 -- the last six have defaults
        self,
        settings: Settings,
        *,
        connections: int = 64,
        pacer: Pacer | None = None,
        policy: RetryPolicy | None = None,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; nothing is sent before the first request.

        `clock` gives monotonic seconds, `chance` a random number in [0, 1).
        """
        self._settings = settings
        self._connections = connections
        self._pacer = pacer or Pacer()
        self._policy = policy or RetryPolicy()
        self._budget = budget or Budget()
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._api = f"{settings.url}/api/v4"
        self._gate = asyncio.Lock()
        self._listing_gate = asyncio.Lock()
        self._probing = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._patience = Patience(settings.timeout)
        self._waits: dict[aiohttp.ClientResponse, Wait] = {}
        """Answers whose bodies are still to come."""
        self._proven = False
        self.counts = Counts()

    async def __aenter__(self) -> Self:
        """Open the connection pool; raises UsageError where the CA bundle cannot be read."""
        # Loading certificates takes longer than a hundred requests: not where none is sent.
        trust = _trust(self._settings) if self._settings.url.startswith("https:") else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=trust),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self._settings.url),
            auto_decompress=False,
            read_bufsize=READ_BYTES,
            # All other waiting is for `patience` to end.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            headers=dict(
                [
                    self._settings.header,
                    ("User-Agent", USER_AGENT),
                    ("Accept", "*/*"),
                    ("Accept-Encoding", "gzip"),
                ],
            ),
        )
        self._patience.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        self._patience.end()
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def instance(self) -> str:
        """Host (and port) of the server."""
        return self._settings.instance

    @property
    def limit(self) -> protocol.RateLimit | None:
        """What is left of the window that the server announced; None where it announced none."""
        return self._pacer.limit(self._clock())

    # --- what may fail, again ------------------------------------------------------------------

    async def again(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `attempt` returns: the one place that tries again."""
        began = self._clock()
        failures = 0
        while True:
            try:
                return await attempt()
            except RetryableError as error:
                failures += 1
                now = self._clock()
                wait = self._policy.wait(
                    error,
                    failures=failures,
                    elapsed=now - began,
                    chance=self._chance(),
                )
                if wait is None:
                    raise
                self._budget.wait(now, wait)
            self.counts.retries += 1
            await self._sleep(wait)

    # --- one question, one answer --------------------------------------------------------------

    async def ask(
        self,
        kind: Kind,
        path: str,
        consume: Callable[[aiohttp.ClientResponse], Awaitable[_T]],
        *,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = _OK,
    ) -> _T:
        """Return what `consume` makes of the answer to `path`, whose status is one of `accept`.

        Asks once; redirects within the origin are followed.
        """
        what = f"GET {path.partition('?')[0]}"
        url = self._api + path
        # Our own URLs are quoted; what a redirect names is quoted anew.
        target = URL(url, encoded=True)
        most = LONG_SECONDS if kind in _LONG else ANSWER_SECONDS
        for _ in range(1 + MAX_REDIRECTS):
            scout = await self._admit(kind)
            try:
                with self._patience.over(most) as wait:
                    response = await self._send(kind, what, target, headers, scout=scout)
                    self._waits[response] = wait
                    try:
                        moved = protocol.redirect_target(
                            what, url, response.status, response.headers
                        )
                        if moved is None:
                            if response.status not in accept:
                                await self._refuse(kind, what, response)
                            protocol.check_media(what, response.headers)
                            result = await consume(response)
                            self._proven = True
                            return result
                    finally:
                        del self._waits[response]
                        response.release()
            except OutOfPatienceError:
                raise ConnectionFailedError(f"{what}: {_TOO_LONG}.") from None
            except NotGitLabError as error:
                if not self._proven:
                    raise
                # It was GitLab a moment ago: a page of a proxy, while the server restarts.
                raise UnavailableError(str(error)) from None
            url = moved
            try:
                target = URL(url)
            except ValueError:
                raise UnexpectedAnswerError(f"{what}: the redirect has no usable target.") from None
        raise UnexpectedAnswerError(f"{what}: more than {MAX_REDIRECTS} redirects.")

    async def _send(
        self,
        kind: Kind,
        what: str,
        url: URL,
        headers: Mapping[str, str] | None,
        *,
        scout: bool,
    ) -> aiohttp.ClientResponse:
        """Return the beginning of the answer: status and headers; learn its limits.

        A `scout` gives back the gate.
        """
        response: aiohttp.ClientResponse | None = None
        failure: LogminerError | None = None
        try:
            if self._session is None:
                raise RuntimeError("The client is not open: use it as `async with`.")
            self.counts.requests[kind] += 1
            response = await self._session.get(url, headers=headers, allow_redirects=False)
            status = response.status
            self.counts.answers[kind, f"{status // 100}xx"] += 1
            self._pacer.answered(self._clock(), protocol.rate_limit(response.headers), scout=scout)
        except _WIRE_ERRORS as error:
            failure = self._failure(what, error)
        finally:
            if response is None:
                self._pacer.unanswered()
            if scout:
                self._gate.release()
        if response is None:
            raise failure or ConnectionFailedError(f"{what}: no answer.")
        return response

    async def _admit(self, kind: Kind) -> bool:
        """Wait for our turn and take it; return whether it is a scout, which keeps the gate."""
        pacer = self._pacer
        if kind is Kind.JOBS:
            async with self._listing_gate:
                pacer.take_listing(await self._pause(pacer.wait_listing))
        # Nearly always. At the gate everybody would wait for whoever was woken before, for ever.
        now = self._clock()
        if not self._gate.locked() and pacer.is_open(now):
            self._budget.take(now)
            return pacer.take(now)
        await self._gate.acquire()
        scout = False
        try:
            now = await self._pause(pacer.wait)
            self._budget.take(now)
            scout = pacer.take(now)
        finally:
            if not scout:
                self._gate.release()
        return scout

    async def _pause(self, wait: Callable[[float], float]) -> float:
        """Sleep as long as `wait` says, which may say more meanwhile; return when it was over."""
        while (seconds := wait(now := self._clock())) > 0:
            self._budget.wait(now, seconds)
            await self._sleep(seconds)
        return now

    async def _refuse(self, kind: Kind, what: str, response: aiohttp.ClientResponse) -> None:
        """Raise what an answer that was not wanted says; learn from a 429."""
        body = b""
        # The status alone is an answer, so a body that cannot be read changes nothing.
        wait = self._waits[response]
        wait.suspend()
        with (
            suppress(ConnectionFailedError, OutOfPatienceError),
            self._patience.over(REFUSAL_SECONDS) as self._waits[response],
        ):
            body = await self.body(response, MAX_ERROR_BYTES)
        headers = response.headers
        try:
            protocol.check(what, response.status, headers, body)
        except RateLimitedError as error:
            self.counts.rate_limited += 1
            # The limiter of the jobs list is the one that sends no RateLimit headers.
            self._pacer.hold(
                self._clock(),
                stated_wait(error) or 0.0,
                listing=kind is Kind.JOBS and "ratelimit-remaining" not in headers,
            )
            raise

    # --- bodies --------------------------------------------------------------------------------

    async def body(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        """Return the decoded body; where it is longer than `most`, a beginning longer than that."""
        body = bytearray()

        def keep(piece: bytes) -> bool:
            body.extend(piece)
            return len(body) > most

        await self.stream(response, keep)
        return bytes(body)

    async def stream(self, response: aiohttp.ClientResponse, take: Callable[[bytes], bool]) -> bool:
        """Hand the decoded body to `take` in pieces until it returns True; return whether it did.

        Raises ConnectionFailedError where the body breaks off. What `take` raises comes out as is.
        """
        encoding = decoder(response.headers.get("content-encoding"))
        plain = isinstance(encoding, Identity)
        read, wait = response.content.readany, self._waits[response]
        failure: LogminerError | None = None
        while True:
            wait.come()
            try:
                data = await read()
            except _WIRE_ERRORS as error:
                failure = ConnectionFailedError(f"The body broke off: {_reason(error)}.")
            wait.since = None
            if failure is not None:
                raise failure
            if not data:
                break
            self.counts.received += len(data)
            if plain:
                if take(data):
                    return True
            elif any(map(take, encoding.feed(data))):
                return True
        encoding.finish()
        return False

    def _failure(self, what: str, error: BaseException) -> LogminerError:
        """Return our error for one of aiohttp's."""
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return ServerError(protocol.untrusted(self._settings.instance))
        return ConnectionFailedError(f"{what}: {_reason(error)}.")


def _reason(error: BaseException) -> str:
    """Return what went wrong on the wire, without a word of the server's."""
    if isinstance(error, TimeoutError):
        return _TOO_LONG
    system = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    text = system.strerror if isinstance(system, OSError) else None
    return text or type(error).__name__


def _trust(settings: Settings) -> ssl.SSLContext:
    """Return whom to trust: the CA bundle of the settings, else the one discovery trusts, too."""
    if settings.verify is False:
        _LOG.warning("TLS certificates are not verified: the settings say so.")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    bundle = Path(certifi.where() if settings.verify is True else settings.verify)
    try:
        if bundle.is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise UsageError(f"The CA bundle {settings.verify} cannot be read.") from error


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for `url`, by the usual variables."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)
