"""The asynchronous client of a harvest: every request it makes goes through one method here.

httpx's types over aiohttp's connections. Requests are handed to the transport directly:
`httpx.AsyncClient` spends more on cookies, redirects and hooks, none of which is wanted here,
than the exchange itself costs. Only this module knows the library.

The token is sent to the configured origin and nowhere else: a redirect is followed by hand, and
only within the origin. Only GET is ever sent, so every request may be repeated.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
import urllib.request
from collections import Counter
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from logminer import __version__
from logminer.errors import (
    AuthorisationError,
    ConnectionFailedError,
    ForbiddenError,
    NotFoundError,
    NotGitLabError,
    RateLimitedError,
    RetryableError,
    ServerError,
    UnexpectedAnswerError,
    UsageError,
)
from logminer.gitlab import protocol
from logminer.gitlab.encoding import decoder
from logminer.gitlab.pacing import Pacer
from logminer.gitlab.retry import RetryPolicy, stated_wait
from logminer.gitlab.settings import CONNECT_SECONDS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from logminer.gitlab.protocol import Pipeline, SkippedJob
    from logminer.gitlab.settings import Settings
    from logminer.model import Job, Project

USER_AGENT = f"logminer/{__version__}"
ANSWER_SECONDS = 300.0
"""The whole of one request and its JSON answer."""
TRACE_SECONDS = 1_800.0
"""The whole of one trace: 100 MB, GitLab's limit, at less than half a megabit a second."""
MAX_ERROR_BYTES = 65_536
"""How much of an error's body is read: GitLab's are one line."""
MAX_REDIRECTS = 3
PER_PAGE = 100
"""GitLab's greatest page."""

_LOG = logging.getLogger(__name__)
_WIRE_ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)
"""What the transport raises: it translates most of aiohttp's errors into httpx's, not all."""


class Kind(StrEnum):
    """What a request asks for."""

    VERSION = "version"
    JOBS = "jobs"
    """A page of a project's jobs: has a limit of its own."""
    JOB = "job"
    PIPELINES = "pipelines"
    PIPELINE_JOBS = "pipeline_jobs"
    TRACE = "trace"


class Sink(Protocol):
    """What takes in a trace, chunk by chunk."""

    def feed(self, data: bytes, /) -> object:
        """Take in the next chunk: never empty, at most 64 KiB, cut anywhere."""


_SinkT = TypeVar("_SinkT", bound=Sink)
_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class Counts:
    """What a client has done so far."""

    requests: Counter[Kind] = field(default_factory=Counter)
    """Requests sent, repeated and redirected ones included."""
    retries: int = 0
    received: int = 0
    """Bytes of bodies as they came over the wire."""
    skipped_jobs: int = 0
    """Rows of job lists that could not be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPage:
    """One page of a project's jobs, newest first."""

    jobs: tuple[Job, ...]
    skipped: tuple[SkippedJob, ...]
    next_cursor: str | None
    """Where the next page begins; None on the last."""
    server_time: dt.datetime | None
    """The server's clock when it answered, in UTC; None where it sent no `Date`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The beginning of an answer, its body still to be read."""

    status: int
    headers: dict[str, str]
    """By names in lower case; httpx's own mapping searches its list at every look."""
    response: httpx.Response


class Client:
    """Reads of one GitLab server, paced and retried; use it as `async with`.

    Every method raises AuthorisationError (401), ForbiddenError (403), NotFoundError (404),
    UnexpectedAnswerError or NotGitLabError for what the server says, ServerError where its
    certificate is not trusted, and the last RetryableError where every try failed.
    """

    def __init__(  # noqa: PLR0913 -- the last five have defaults that only tests replace
        self,
        settings: Settings,
        *,
        connections: int = 64,
        pacer: Pacer | None = None,
        policy: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; nothing is sent before the first read.

        `clock` gives monotonic seconds, `chance` a random number in [0, 1).
        """
        self._settings = settings
        self._connections = connections
        self._pacer = pacer or Pacer()
        self._policy = policy or RetryPolicy()
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._api = f"{settings.url}/api/v4"
        self._headers = httpx.Headers(
            [
                settings.header,
                ("User-Agent", USER_AGENT),
                ("Accept", "*/*"),
                ("Accept-Encoding", "gzip"),
            ],
        )
        self._extensions = {"timeout": {"connect": CONNECT_SECONDS, "read": settings.timeout}}
        self._transport: AiohttpTransport | None = None
        self.counts = Counts()

    async def __aenter__(self) -> Self:
        """Open the connection pool; raises UsageError where the CA bundle cannot be read."""
        trust = _trust(self._settings)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=trust),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self._settings.url),
        )
        self._transport = AiohttpTransport(verify=trust, client=session)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    # --- reads -------------------------------------------------------------------------------

    async def version(self) -> str:
        """Return the server's version: the probe that this is GitLab and takes the token.

        Raises NotGitLabError, AuthorisationError or ServerError, each of which ends a run.
        """
        try:
            data, _ = await self._json(Kind.VERSION, "/version")
            return protocol.parse_version("GET /version", data)
        except ForbiddenError as error:
            raise AuthorisationError(protocol.REFUSED) from error
        except NotFoundError as error:
            raise NotGitLabError(protocol.no_api(self._settings.url)) from error
        except UnexpectedAnswerError as error:
            raise NotGitLabError(str(error)) from error
        except RetryableError as error:
            raise ServerError(f"{self._settings.instance} cannot be reached. {error}") from error

    async def jobs_page(
        self,
        project: Project,
        *,
        cursor: str | None = None,
        per_page: int = PER_PAGE,
    ) -> JobsPage:
        """Return a page of the project's jobs, newest id first, retried ones included."""
        query: dict[str, str | int] = {
            "pagination": "keyset",
            "order_by": "id",
            "sort": "desc",
            "per_page": per_page,
        }
        path = f"/projects/{project.id}/jobs"
        data, headers = await self._json(
            Kind.JOBS,
            path,
            query if cursor is None else query | {"cursor": cursor},
        )
        jobs, skipped = protocol.parse_jobs(f"GET {path}", data, project)
        self._note(skipped)
        following = protocol.next_parameter(f"GET {path}", headers, "cursor")
        if following is not None and following == cursor:
            raise UnexpectedAnswerError(f"GET {path}: the next page is this page again.")
        return JobsPage(
            jobs=jobs,
            skipped=skipped,
            next_cursor=following,
            server_time=protocol.server_time(headers),
        )

    async def changed_pipelines(
        self,
        project_id: int,
        *,
        since: dt.datetime,
        until: dt.datetime,
    ) -> AsyncIterator[Pipeline]:
        """Yield each pipeline that changed in a period once, child pipelines after the others.

        `until` freezes the list while it is read. Pages are not counted but begin at the last
        time seen: a pipeline that changes meanwhile leaves the list, and by number the next page
        would then pass one over.
        """
        seen: set[int] = set()
        # Child pipelines are only listed when asked for by their source (17.0).
        for source in ({}, {"source": "parent_pipeline"}):
            after, page = since, 1
            while True:
                pipelines, more = await self._pipelines(
                    project_id,
                    {
                        "updated_after": _stamp(after),
                        "updated_before": _stamp(until),
                        "order_by": "updated_at",
                        "sort": "asc",
                        "per_page": PER_PAGE,
                        "page": page,
                        **source,
                    },
                )
                for pipeline in pipelines:
                    if pipeline.id not in seen:
                        seen.add(pipeline.id)
                        yield pipeline
                if not more:
                    break
                # A millisecond back, the precision of the JSON: others may share the instant.
                last = pipelines[-1].updated_at or after
                if last - protocol.TICK > after:
                    after, page = last - protocol.TICK, 1
                else:
                    page += 1

    async def pipeline_jobs(self, project: Project, pipeline_id: int) -> AsyncIterator[Job]:
        """Yield each job of a pipeline once, retried ones included.

        A row that cannot be understood is logged and counted in `counts.skipped_jobs`.
        """
        path = f"/projects/{project.id}/pipelines/{pipeline_id}/jobs"
        seen: set[int] = set()
        page = 1
        while True:
            query: dict[str, str | int] = {
                "include_retried": "true",
                "per_page": PER_PAGE,
                "page": page,
            }
            data, headers = await self._json(Kind.PIPELINE_JOBS, path, query)
            jobs, skipped = protocol.parse_jobs(f"GET {path}", data, project)
            self._note(skipped)
            # A job retried while we read moves the others down: some then come twice.
            for job in jobs:
                if job.id not in seen:
                    seen.add(job.id)
                    yield job
            if not _has_more(f"GET {path}", headers, len(jobs) + len(skipped)):
                return
            page += 1

    async def job(self, project: Project, job_id: int) -> Job:
        """Return one job as it is now."""
        data, _ = await self._json(Kind.JOB, f"/projects/{project.id}/jobs/{job_id}")
        return protocol.parse_job(data, project)

    async def read_trace(self, job: Job, start: Callable[[], _SinkT]) -> _SinkT:
        """Feed the job's trace to a sink and return it.

        `start` makes the sink, anew for each try, so a body that broke off leaves nothing behind;
        the sink that is returned has seen the whole trace, which may be empty.
        Raises NotFoundError where there is no trace, ForbiddenError where it may not be read.
        """

        async def feed(answer: _Answer) -> _SinkT:
            sink = start()
            async with aclosing(self._pieces(answer)) as pieces:
                async for piece in pieces:
                    sink.feed(piece)
            return sink

        path = f"/projects/{job.project_id}/jobs/{job.id}/trace"
        return await self._read(Kind.TRACE, path, self._api + path, feed)

    # --- the one way to the server -----------------------------------------------------------

    async def _pipelines(
        self,
        project_id: int,
        query: dict[str, str | int],
    ) -> tuple[tuple[Pipeline, ...], bool]:
        path = f"/projects/{project_id}/pipelines"
        data, headers = await self._json(Kind.PIPELINES, path, query)
        pipelines = protocol.parse_pipelines(f"GET {path}", data)
        return pipelines, _has_more(f"GET {path}", headers, len(pipelines))

    async def _json(
        self,
        kind: Kind,
        path: str,
        query: dict[str, str | int] | None = None,
    ) -> tuple[object, dict[str, str]]:
        """Return a JSON answer and its headers."""

        async def decode(answer: _Answer) -> tuple[object, dict[str, str]]:
            body = await self._body(answer, protocol.MAX_JSON_BYTES)
            if len(body) > protocol.MAX_JSON_BYTES:
                raise UnexpectedAnswerError(f"GET {path}: {protocol.TOO_LARGE}")
            return protocol.decode(f"GET {path}", answer.headers, body), answer.headers

        url = self._api + path + ("?" + urlencode(query) if query else "")
        return await self._read(kind, path, url, decode)

    async def _read(
        self,
        kind: Kind,
        path: str,
        url: str,
        consume: Callable[[_Answer], Awaitable[_T]],
    ) -> _T:
        """Return what `consume` makes of a good answer: the one place that tries again."""
        began = self._clock()
        failures = 0
        while True:
            try:
                return await self._try(kind, path, url, consume)
            except RetryableError as error:
                failures += 1
                wait = self._policy.wait(
                    error,
                    failures=failures,
                    elapsed=self._clock() - began,
                    chance=self._chance(),
                )
                if wait is None:
                    raise
            self.counts.retries += 1
            await self._sleep(wait)

    async def _try(
        self,
        kind: Kind,
        path: str,
        url: str,
        consume: Callable[[_Answer], Awaitable[_T]],
    ) -> _T:
        """Ask once, redirects within the origin included."""
        what = f"GET {path}"
        for _ in range(1 + MAX_REDIRECTS):
            if kind is Kind.JOBS:
                await self._pause(self._pacer.reserve_listing(self._clock()))
            await self._pause(self._pacer.reserve(self._clock()))
            self.counts.requests[kind] += 1
            limit = asyncio.timeout(TRACE_SECONDS if kind is Kind.TRACE else ANSWER_SECONDS)
            try:
                async with limit:
                    answer = await self._send(what, url)
                    try:
                        target = protocol.redirect_target(what, url, answer.status, answer.headers)
                        if target is None:
                            await self._check(kind, what, answer)
                            return await consume(answer)
                        url = target
                    finally:
                        await answer.response.aclose()
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise ConnectionFailedError(f"{what}: the answer takes too long.") from error
        raise UnexpectedAnswerError(f"{what}: more than {MAX_REDIRECTS} redirects.")

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._sleep(seconds)

    async def _send(self, what: str, url: str) -> _Answer:
        """Return the beginning of the answer: status and headers."""
        if self._transport is None:
            raise RuntimeError("The client is not open: use it as `async with`.")
        try:
            request = httpx.Request("GET", url, headers=self._headers, extensions=self._extensions)
            response = await self._transport.handle_async_request(request)
        except httpx.InvalidURL:
            # Only a redirect can lead here: every other URL is made of numbers and names of ours.
            raise UnexpectedAnswerError(f"{what}: the redirect has no usable target.") from None
        except _WIRE_ERRORS as error:
            if isinstance(error.__cause__, aiohttp.ClientConnectorCertificateError):
                raise ServerError(protocol.untrusted(self._settings.instance)) from error
            raise ConnectionFailedError(f"{what}: {_reason(error)}.") from error
        headers: dict[str, str] = {}
        for raw_name, raw_value in response.headers.raw:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            # Fields of one name are one list (RFC 9110, section 5.3): a proxy may add a Link.
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return _Answer(status=response.status_code, headers=headers, response=response)

    async def _check(self, kind: Kind, what: str, answer: _Answer) -> None:
        """Learn the limits from an answer; raise where it is not a good one."""
        status, headers = answer.status, answer.headers
        now = self._clock()
        limit = protocol.rate_limit(headers)
        self._pacer.observe(now, limit)
        body = b""
        if status != httpx.codes.OK:
            # The status alone is an answer, so a body that cannot be read changes nothing.
            with suppress(ConnectionFailedError):
                body = await self._body(answer, MAX_ERROR_BYTES)
        try:
            protocol.check(what, status, headers, body)
        except RateLimitedError as error:
            # The limiter of the jobs list is the one that sends no RateLimit headers.
            self._pacer.hold(
                now,
                stated_wait(error) or 0.0,
                listing=kind is Kind.JOBS and "ratelimit-remaining" not in headers,
            )
            raise

    async def _body(self, answer: _Answer, most: int) -> bytes:
        """Return the body; where it is longer than `most`, a beginning that is longer too."""
        body = bytearray()
        async with aclosing(self._pieces(answer)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > most:
                    break
        return bytes(body)

    async def _pieces(self, answer: _Answer) -> AsyncGenerator[bytes]:
        """Yield the decoded body; raise ConnectionFailedError where it breaks off."""
        encoding = decoder(answer.headers.get("content-encoding"))
        stream = aiter(_stream(answer.response))
        while True:
            # Only the wire's errors are ours: one that a sink raises never passes through here.
            try:
                data = await anext(stream)
            except StopAsyncIteration:
                break
            except _WIRE_ERRORS as error:
                raise ConnectionFailedError(f"The body broke off: {_reason(error)}.") from error
            self.counts.received += len(data)
            for piece in encoding.feed(data):
                yield piece
        encoding.finish()

    def _note(self, skipped: tuple[SkippedJob, ...]) -> None:
        self.counts.skipped_jobs += len(skipped)
        for job in skipped:
            _LOG.warning("project %d: a job is passed over. %s", job.project_id, job.reason)


def _has_more(what: str, headers: dict[str, str], count: int) -> bool:
    """Return whether a numbered page has a next one."""
    more = protocol.next_parameter(what, headers, "page") is not None
    if more and count == 0:
        raise UnexpectedAnswerError(f"{what}: an empty page claims to have a next one.")
    return more


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    """Return the body as it comes; the response's own iterators copy and decode it."""
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("The transport must be asynchronous.")
    return stream


def _stamp(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _reason(error: BaseException) -> str:
    """Return what went wrong on the wire, without a word of the server's."""
    cause = error.__cause__ or error
    system = cause.os_error if isinstance(cause, aiohttp.ClientConnectorError) else cause
    text = system.strerror if isinstance(system, OSError) else None
    return text or type(cause).__name__


def _trust(settings: Settings) -> ssl.SSLContext:
    """Return whom to trust: the CA bundle of the settings, else the one httpx brings."""
    if isinstance(settings.verify, bool):
        if not settings.verify:
            _LOG.warning("TLS certificates are not verified: the settings say so.")
        return httpx.create_ssl_context(verify=settings.verify, trust_env=False)
    bundle = Path(settings.verify)
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
