"""The reads of a harvest: lists, jobs and traces of one GitLab server, as values.

What is sent, how often and to whom is `wire`'s; what an answer means is `protocol`'s.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import urlencode

from logminer.errors import (
    AuthorisationError,
    BlockedError,
    ForbiddenError,
    NotFoundError,
    NotGitLabError,
    OffsetLimitError,
    RetryableError,
    ServerError,
    UnexpectedAnswerError,
)
from logminer.gitlab import joblist, protocol
from logminer.gitlab.paging import PER_PAGE, Place, follows_on, fresh
from logminer.gitlab.traces import FIRST_RANGE, LONGEST_RANGE, Intake, SinkT, Span, TraceRead
from logminer.gitlab.wire import Kind, Wire

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    import aiohttp

    from logminer.gitlab.joblist import JobList
    from logminer.gitlab.protocol import Pipeline, SkippedJob
    from logminer.model import Job, Project

MAX_PAGES = 10_000
"""Pages of one list of pipelines, or of one pipeline's jobs: a million rows."""

_LOG = logging.getLogger(__name__)

_PARTIAL = 206
_NOT_UNDERSTOOD = frozenset({400, 405})
"""How a server refuses a parameter that it does not know."""

_T = TypeVar("_T")

Query: TypeAlias = "Mapping[str, str | int]"
"""Parameters by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPage:
    """One page of a project's jobs, newest first; none that a page before it showed."""

    jobs: tuple[Job, ...]
    skipped: tuple[SkippedJob, ...]
    next_cursor: str | None
    """Where the next page begins, also in a later run; None on the last."""
    server_time: dt.datetime | None
    """The server's clock when it answered, in UTC; None where it sent no `Date`."""


class Client(Wire):
    """Reads of one GitLab server; use it as `async with`.

    Every method raises AuthorisationError (401), ForbiddenError (403), NotFoundError (404),
    UnexpectedAnswerError or NotGitLabError for what the server says, ServerError where its
    certificate is not trusted, BlockedError where it refuses everything, BudgetSpentError where
    the budget does not allow another request, and the last RetryableError where every try failed.
    """

    _numbered = False
    """Whether the server is known to have no keyset paging for jobs."""
    _children_listed = True
    _probes = 0
    """Times that /version was asked since a 403."""
    _last_probe = 0
    """The last of them that was answered, and what it said."""
    _blocked = False

    @property
    def children_listed(self) -> bool:
        """Whether the server lists child pipelines, as far as is known (17.0 and later do)."""
        return self._children_listed

    async def version(self) -> str:
        """Return the server's version: the probe that this is GitLab and takes the token.

        Raises NotGitLabError, AuthorisationError or ServerError, each of which ends a run.
        """
        try:
            data, _ = await self.again(lambda: self._ask_json(Kind.VERSION, "/version"))
            return protocol.parse_version("GET /version", data)
        except ForbiddenError as error:
            raise AuthorisationError(protocol.REFUSED) from error
        except NotFoundError as error:
            raise NotGitLabError(protocol.no_api(self._settings.url)) from error
        except UnexpectedAnswerError as error:
            raise NotGitLabError(str(error)) from error
        except RetryableError as error:
            raise ServerError(f"{self._settings.instance} cannot be reached. {error}") from error

    # --- jobs ----------------------------------------------------------------------------------

    async def jobs_page(self, project: Project, *, cursor: str | None = None) -> JobsPage:
        """Return a page of the project's jobs, newest id first, retried ones included.

        Raises OffsetLimitError where an old server lists no further back.
        """
        place = Place() if cursor is None else Place.parse(cursor)
        path = f"/projects/{project.id}/jobs"
        if place.index == 0 and not self._numbered:
            query: dict[str, str | int] = {
                "pagination": "keyset",
                "order_by": "id",
                "sort": "desc",
                "per_page": PER_PAGE,
            }
            if place.cursor is not None:
                query["cursor"] = place.cursor
            try:
                listed, headers = await self._jobs(Kind.JOBS, path, query, project)
            except UnexpectedAnswerError as error:
                if place.cursor is not None or error.status not in _NOT_UNDERSTOOD:
                    raise
                self._numbered = True
            else:
                return self._page(project, place, listed, headers, end=PER_PAGE)
        return await self._numbered_page(project, path, place)

    async def _numbered_page(self, project: Project, path: str, place: Place) -> JobsPage:
        """Return the rows below a place, from a page that overlaps the one before."""
        while True:
            number, size = place.window
            query: Query = {"per_page": size, "page": number}
            try:
                listed, headers = await self._jobs(Kind.JOBS, path, query, project)
            except UnexpectedAnswerError as error:
                if place.index == 0 or error.status not in _NOT_UNDERSTOOD:
                    raise
                raise OffsetLimitError(
                    f"GET {path}: this server, older than GitLab 15.9 or set so, lists no more "
                    f"than the newest {place.index:,} jobs. Name a later --since.",
                    listed=place.index,
                ) from error
            if number == 1 or follows_on(listed.ids, place):
                return self._page(project, place, listed, headers, end=number * size)
            # Rows were deleted, and what was below them has moved up: begin higher.
            place = replace(place, index=(number - 1) * size)

    def _page(
        self,
        project: Project,
        place: Place,
        listed: JobList,
        headers: dict[str, str],
        *,
        end: int,
    ) -> JobsPage:
        """Return what is new on a page that ends, if it is full, with row `end` of the list."""
        what, ids = f"GET /projects/{project.id}/jobs", listed.ids
        new = fresh(what, ids, place)
        skipped = tuple(row for row in listed.skipped if row.id is None or row.id in new)
        self._note(skipped)
        following: Place | None = None
        match protocol.next_parameter(what, headers, "cursor", "page"):
            case "cursor", cursor:
                if not new or cursor == place.cursor:
                    raise UnexpectedAnswerError(f"{what}: the pages lead round in a circle.")
                following = Place(cursor=cursor, last=min(new))
            case "page", _:
                following = place.below(what, ids, new, end=end)
        return JobsPage(
            jobs=tuple({job.id: job for job in listed.jobs if job.id in new}.values()),
            skipped=skipped,
            next_cursor=None if following is None else str(following),
            server_time=protocol.server_time(headers),
        )

    async def job(self, project: Project, job_id: int) -> Job:
        """Return one job as it is now."""
        data, _ = await self._json(Kind.JOB, f"/projects/{project.id}/jobs/{job_id}")
        return protocol.parse_job(data, project)

    # --- pipelines -----------------------------------------------------------------------------

    async def changed_pipelines(
        self,
        project_id: int,
        *,
        since: dt.datetime,
        until: dt.datetime,
        children: bool = False,
    ) -> AsyncIterator[Pipeline]:
        """Yield each pipeline that changed in a period once; with `children`, child pipelines, too.

        Child pipelines are a list of their own, which servers have since 17.0; where there is none,
        `children_listed` says so from then on.
        """
        seen: set[int] = set()
        async for pipeline in self._changed(project_id, since, until, {}):
            if pipeline.id not in seen:
                seen.add(pipeline.id)
                yield pipeline
        if not (children and self._children_listed):
            return
        source = {"source": "parent_pipeline"}
        try:
            async for pipeline in self._changed(project_id, since, until, source):
                if pipeline.id not in seen:
                    seen.add(pipeline.id)
                    yield pipeline
        except UnexpectedAnswerError as error:
            if error.status not in _NOT_UNDERSTOOD:
                raise
            self._children_listed = False

    async def _changed(
        self,
        project_id: int,
        since: dt.datetime,
        until: dt.datetime,
        source: dict[str, str],
    ) -> AsyncIterator[Pipeline]:
        """Yield the pipelines of one list that changed in a period, some of them twice.

        `until` freezes the list while it is read. Pages are not counted but begin at the last
        time seen: a pipeline that changes meanwhile leaves the list, and by number the next page
        would then pass one over.
        """
        path = f"/projects/{project_id}/pipelines"
        after, page = since, 1
        for _ in range(MAX_PAGES):
            query: Query = {
                "updated_after": _stamp(after),
                "updated_before": _stamp(until),
                "order_by": "updated_at",
                "sort": "asc",
                "per_page": PER_PAGE,
                "page": page,
                **source,
            }
            data, headers = await self._json(Kind.PIPELINES, path, query)
            pipelines = protocol.parse_pipelines(f"GET {path}", data)
            for pipeline in pipelines:
                yield pipeline
            if not _has_more(path, headers, pipelines):
                return
            # A millisecond back, the precision of the JSON: others may share the instant.
            last = pipelines[-1].updated_at or after
            if last - protocol.TICK > after:
                after, page = last - protocol.TICK, 1
            else:
                page += 1
        raise _endless(path)

    async def pipeline_jobs(self, project: Project, pipeline_id: int) -> AsyncIterator[Job]:
        """Yield each job of a pipeline once, retried ones included.

        A row that cannot be understood is logged and counted in `counts.skipped_jobs`.
        Raises NotFoundError where the pipeline is gone, and its jobs with it.
        """
        path = f"/projects/{project.id}/pipelines/{pipeline_id}/jobs"
        seen: set[int] = set()
        for page in range(1, MAX_PAGES + 1):
            query: Query = {
                "include_retried": "true",
                "per_page": PER_PAGE,
                "page": page,
            }
            listed, headers = await self._jobs(Kind.PIPELINE_JOBS, path, query, project)
            self._note(listed.skipped)
            # A job retried while we read moves the others down: some then come twice.
            for job in listed.jobs:
                if job.id not in seen:
                    seen.add(job.id)
                    yield job
            if not _has_more(path, headers, listed.jobs + listed.skipped):
                return
        raise _endless(path)

    # --- traces --------------------------------------------------------------------------------

    async def read_trace(
        self,
        job: Job,
        start: Callable[[], SinkT],
        *,
        max_bytes: int | None = None,
        enough: Callable[[SinkT], bool] | None = None,
    ) -> TraceRead[SinkT]:
        """Feed the job's trace to a sink, at most `max_bytes` of it, and until it has `enough`.

        `start` makes the sink, anew for each try, so a body that broke off leaves nothing behind;
        the sink that is returned has seen the trace from its first byte. `enough` is asked after
        each piece. Where little may do, little is asked for.
        Raises NotFoundError where there is no trace, ForbiddenError where it may not be read.
        """
        path = f"/projects/{job.project_id}/jobs/{job.id}/trace"

        def intake() -> Intake[SinkT]:
            return Intake(f"GET {path}", start(), max_bytes=max_bytes, enough=enough)

        async def whole(response: aiohttp.ClientResponse) -> TraceRead[SinkT]:
            taken = intake()
            await self.stream(response, taken.take)
            total = None if "content-encoding" in response.headers else response.content_length
            return taken.done(announced=job.trace_size, total=total)

        if enough is not None or (max_bytes is not None and max_bytes <= FIRST_RANGE):
            try:
                return await self._read(lambda: self._in_parts(path, job, intake, whole))
            except UnexpectedAnswerError as error:
                _LOG.info("%s Reading the whole instead.", error)
        return await self._read(lambda: self.ask(Kind.TRACE, path, whole))

    async def _in_parts(
        self,
        path: str,
        job: Job,
        intake: Callable[[], Intake[SinkT]],
        whole: Callable[[aiohttp.ClientResponse], Awaitable[TraceRead[SinkT]]],
    ) -> TraceRead[SinkT]:
        """Read a trace from its beginning by `Range`, as far as it is wanted.

        A server that does not know ranges sends the whole; it is left where there is enough.
        """
        what = f"GET {path}"
        taken = intake()
        total: int | None = None
        first, length = 0, FIRST_RANGE

        async def part(response: aiohttp.ClientResponse) -> TraceRead[SinkT] | Span:
            if response.status == protocol.OK:
                return await whole(response)
            span = Span.read(what, response.headers, first=first, length=length)
            if not await self.stream(response, taken.take) and taken.size != span.last + 1:
                raise UnexpectedAnswerError(f"{what}: a part is not as long as it says.")
            return span

        while True:
            # A range is one of the encoded bytes, so nothing is to be encoded.
            headers = {
                "Range": f"bytes={first}-{first + length - 1}",
                "Accept-Encoding": "identity",
            }
            accept = {protocol.OK, _PARTIAL}
            answer = await self.ask(Kind.TRACE, path, part, headers=headers, accept=accept)
            if isinstance(answer, TraceRead):
                return answer
            if total not in {None, answer.total}:
                raise UnexpectedAnswerError(f"{what}: the log changed while it was read.")
            total = answer.total
            if taken.stopped or answer.last + 1 == total:
                return taken.done(announced=job.trace_size, total=total)
            first, length = answer.last + 1, LONGEST_RANGE

    # --- asking --------------------------------------------------------------------------------

    async def _json(
        self, kind: Kind, path: str, query: Query | None = None
    ) -> tuple[object, dict[str, str]]:
        """Return a JSON answer and its headers, names in lower case."""
        return await self._read(lambda: self._ask_json(kind, path, query))

    async def _jobs(
        self, kind: Kind, path: str, query: Query, project: Project
    ) -> tuple[JobList, dict[str, str]]:
        """Return a page of jobs and its headers."""

        def decode(what: str, headers: dict[str, str], body: bytes) -> object:
            return joblist.decode(what, headers, body, project)

        data, headers = await self._read(lambda: self._ask_for(kind, path, query, decode))
        return joblist.listed(f"GET {path}", data, project), headers

    async def _ask_json(
        self, kind: Kind, path: str, query: Query | None = None
    ) -> tuple[object, dict[str, str]]:
        return await self._ask_for(kind, path, query, protocol.decode)

    async def _ask_for(
        self,
        kind: Kind,
        path: str,
        query: Query | None,
        decode: Callable[[str, dict[str, str], bytes], _T],
    ) -> tuple[_T, dict[str, str]]:
        """Return what `decode` makes of an answer, asked for once, and its headers."""
        what = f"GET {path}"

        async def consume(response: aiohttp.ClientResponse) -> tuple[_T, dict[str, str]]:
            body = await self.body(response, protocol.MAX_JSON_BYTES)
            # Fields of one name are one list (RFC 9110, section 5.3): a proxy may add a Link.
            fields = response.headers
            headers = {name.lower(): ", ".join(fields.getall(name)) for name in fields}
            return decode(what, headers, body), headers

        return await self.ask(kind, path + ("?" + urlencode(query) if query else ""), consume)

    async def _read(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `attempt` returns, tried again where that may help.

        A server that blocks an address answers 403 to everything, so one 403 proves nothing about
        the thing that was asked for. It is believed when the server, asked after it, still answers
        us, and then refuses the same thing again.
        """
        try:
            return await self.again(attempt)
        except ForbiddenError:
            await self._probe()
        return await self.again(attempt)

    async def _probe(self) -> None:
        """Raise BlockedError where the server refuses everything, asked after this call began."""
        begun = self._probes
        async with self._probing:
            # Somebody else may have asked meanwhile, and been answered.
            if self._last_probe <= begun:
                self._probes += 1
                try:
                    await self.again(lambda: self._ask_json(Kind.VERSION, "/version"))
                except ForbiddenError:
                    self._blocked = True
                else:
                    self._blocked = False
                self._last_probe = self._probes
            if self._blocked:
                raise BlockedError(protocol.blocked(self._settings.instance))

    def _note(self, skipped: Sequence[SkippedJob]) -> None:
        self.counts.skipped_jobs += len(skipped)
        for job in skipped:
            _LOG.warning("project %d: a job is passed over. %s", job.project_id, job.reason)


def _has_more(path: str, headers: dict[str, str], rows: Sequence[object]) -> bool:
    """Return whether a numbered page has a next one."""
    more = protocol.next_parameter(f"GET {path}", headers, "page") is not None
    if more and not rows:
        raise UnexpectedAnswerError(f"GET {path}: an empty page claims to have a next one.")
    return more


def _endless(path: str) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(f"GET {path}: more than {MAX_PAGES:,} pages.")


def _stamp(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
