"""API v4 over a company, as far as a harvester of traces uses it.

Every handler is short and answers from the company as of `company.now`; `Behaviour` holds what may
differ between servers. Facts about paging, limits and bodies are those of GitLab's own code and
documentation.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from logminer.simulator.entities import Entities
from logminer.simulator.limits import Limit
from logminer.simulator.pages import BadQueryError, Page, by_cursor, by_id, by_offset

if TYPE_CHECKING:
    from logminer.simulator.company import Company
    from logminer.simulator.life import Job, Pipeline
    from logminer.simulator.organisation import Group, Project

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

VERSION = "19.3.1-ee"

_SCOPES = frozenset({
    "created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running",
    "success", "failed", "canceling", "canceled", "skipped", "manual", "scheduled",
})  # fmt: skip
_PIPELINE_ORDERS: dict[str, Callable[[Pipeline, int], Any]] = {
    "id": lambda pipeline, _now: pipeline.id,
    "updated_at": lambda pipeline, now: (pipeline.updated_at(now), pipeline.id),
}
_PROJECT_ORDERS: dict[str, Callable[[Project], Any]] = {
    "id": lambda project: project.id,
    "name": lambda project: project.path.rpartition("/")[2],
    "path": lambda project: project.path,
    "created_at": lambda project: project.id,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the server behaves, where servers differ."""

    latency: float = 0.0
    """Seconds by which every answer is late."""
    requests_per_minute: int | None = None
    """More than these are answered with 429 `Retry later`; None: no limit."""
    jobs_lists_per_minute: int | None = None
    """The jobs list's own limit, whose 429 has a JSON body and no RateLimit headers."""
    gzip: bool = False
    """Whether bodies are compressed for clients that accept it, as NGINX before GitLab does."""


@dataclass(slots=True)
class Requests:
    """What the server was asked; a kind is the name of a route: jobs, job, trace, pipelines."""

    counts: Counter[str] = field(default_factory=Counter)
    log: list[tuple[str, str, int]] = field(default_factory=list)
    """Kind, path with query, and status of every request, oldest first."""

    def note(self, kind: str, path: str, status: int) -> None:
        """Add one request."""
        self.counts[kind] += 1
        self.log.append((kind, path, status))

    @property
    def total(self) -> int:
        """How many there were."""
        return len(self.log)


class Api:
    """The handlers: one method for each endpoint."""

    def __init__(
        self, company: Company, *, token: str, behaviour: Behaviour, requests: Requests
    ) -> None:
        """Serve this company to whoever holds the token."""
        self._company = company
        self._token = token
        self._behaviour = behaviour
        self._requests = requests
        self._general = Limit(behaviour.requests_per_minute, time.monotonic)
        self._jobs_lists = Limit(behaviour.jobs_lists_per_minute, time.monotonic)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a route's name is the kind its requests are counted under."""
        root = "/api/v4"
        project = f"{root}/projects/{{project}}"
        return [
            web.get(f"{root}/version", self.version, name="version"),
            web.get(f"{root}/user", self.user, name="user"),
            web.get(f"{root}/projects", self.projects, name="projects"),
            web.get(project, self.project, name="project"),
            web.get(f"{root}/groups/{{group}}", self.group, name="group"),
            web.get(
                f"{root}/groups/{{group}}/projects", self.group_projects, name="group_projects"
            ),
            web.get(f"{project}/jobs", self.jobs, name="jobs"),
            web.get(f"{project}/jobs/{{job}}", self.job, name="job"),
            web.get(f"{project}/jobs/{{job}}/trace", self.trace, name="trace"),
            web.get(f"{project}/pipelines", self.pipelines, name="pipelines"),
            web.get(
                f"{project}/pipelines/{{pipeline}}/jobs", self.pipeline_jobs, name="pipeline_jobs"
            ),
        ]

    # -- around every request ---------------------------------------------------------------

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count, delay, authenticate and limit a request, and put the common headers on."""
        if self._behaviour.latency:
            await asyncio.sleep(self._behaviour.latency)
        response = await self._answer(request, handler)
        headers = response.headers
        headers["Date"] = format_datetime(self._company.now, usegmt=True)
        if "Retry-After" not in headers or "RateLimit-ResetTime" in headers:
            headers.update(self._limit_headers())
        if self._behaviour.gzip:
            response.enable_compression()
        resource = request.match_info.route.resource
        kind = (resource.name if resource is not None else None) or "unknown"
        self._requests.note(kind, request.path_qs, response.status)
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._general.take():
            return self._retry_later()
        if not self._authentic(request):
            return _json({"message": "401 Unauthorized"}, status=401)
        try:
            return await handler(request)
        except BadQueryError as problem:
            return _json({"error": str(problem)}, status=problem.status)
        except web.HTTPNotFound:
            return _json({"error": "404 Not Found"}, status=404)
        except _RefusedError as refusal:
            return _json({"message": str(refusal)}, status=refusal.status)

    def _authentic(self, request: web.Request) -> bool:
        given = request.headers.get("PRIVATE-TOKEN")
        if given is None:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return given == self._token

    def _limit_headers(self) -> dict[str, str]:
        limit = self._general
        return {
            "RateLimit-Limit": str(limit.shown),
            "RateLimit-Name": "throttle_authenticated_api",
            "RateLimit-Observed": str(limit.observed),
            "RateLimit-Remaining": str(limit.remaining),
            "RateLimit-Reset": str(self._company.now_ms // 1000 + int(limit.resets_in) + 1),
        }

    def _retry_later(self) -> web.Response:
        seconds = int(self._general.resets_in) + 1
        reset = self._company.now + dt.timedelta(seconds=seconds)
        return web.Response(
            status=429,
            text="Retry later\n",
            headers={
                "Retry-After": str(seconds),
                "RateLimit-ResetTime": format_datetime(reset, usegmt=True),
            },
        )

    # -- the instance -----------------------------------------------------------------------

    async def version(self, _request: web.Request) -> web.Response:
        """`GET /version`."""
        return _json({"version": VERSION, "revision": "535ced5f", "enterprise": True})

    async def user(self, request: web.Request) -> web.Response:
        """`GET /user`: the token's own."""
        return _json(
            {
                "id": 53,
                "username": "harvest-bot",
                "name": "harvest-bot",
                "state": "active",
                "bot": True,
                "web_url": f"{_base(request)}/harvest-bot",
            }
        )

    # -- projects and groups ----------------------------------------------------------------

    async def projects(self, request: web.Request) -> web.Response:
        """`GET /projects`: keyset by id, or offset."""
        query = request.query
        items = _archived(self._company.projects, query)
        link = _linker(request)
        if query.get("pagination") == "keyset":
            if query.get("order_by", "id") != "id":
                raise BadQueryError(_NO_KEYSET, status=405)
            page = by_id(items, _id, query, link)
        else:
            page = by_offset(_ordered(items, query), query, link)
        return self._project_page(request, page)

    async def project(self, request: web.Request) -> web.Response:
        """`GET /projects/:id`."""
        return _json(Entities(self._company, _base(request)).project(self._project(request)))

    async def group(self, request: web.Request) -> web.Response:
        """`GET /groups/:id`."""
        return _json(Entities(self._company, _base(request)).group(self._group(request)))

    async def group_projects(self, request: web.Request) -> web.Response:
        """`GET /groups/:id/projects`: no subgroups unless asked for, shared ones unless refused."""
        query = request.query
        group = self._group(request)
        groups = {group.id}
        if _flag(query, "include_subgroups", default=False):
            groups |= {
                each.id for each in self._company.groups if each.path.startswith(f"{group.path}/")
            }
        shared = _flag(query, "with_shared", default=True)
        items = [
            project
            for project in _archived(self._company.projects, query)
            if project.group_id in groups or (shared and groups.intersection(project.shared_with))
        ]
        page = by_offset(_ordered(items, query), query, _linker(request))
        return self._project_page(request, page)

    def _project_page(self, request: web.Request, page: Page[Project]) -> web.Response:
        entities = Entities(self._company, _base(request))
        simple = _flag(request.query, "simple", default=False)
        body = [entities.project(project, simple=simple) for project in page.items]
        return _json(body, headers=page.headers)

    # -- jobs and traces --------------------------------------------------------------------

    async def jobs(self, request: web.Request) -> web.Response:
        """`GET /projects/:id/jobs`: newest first, keyset or offset, never with totals."""
        if not self._jobs_lists.take():
            message = "This endpoint has been requested too many times. Try again later."
            return _json({"message": {"error": message}}, status=429, headers={"Retry-After": "60"})
        project = self._readable(request)
        query = request.query
        jobs = self._scoped(self._company.jobs_of(project.id), _scopes(request))
        if query.get("pagination") == "keyset":
            if query.get("order_by", "id") != "id" or query.get("sort", "desc") != "desc":
                raise BadQueryError(_NO_KEYSET, status=405)
            return self._job_page(request, by_cursor(jobs, _id, query, _linker(request)))
        if query.get("sort", "desc") == "desc":
            jobs = list(reversed(jobs))
        return self._job_page(request, by_offset(jobs, query, _linker(request)))

    async def job(self, request: web.Request) -> web.Response:
        """`GET /projects/:id/jobs/:job_id`."""
        job = self._job(request)
        entities = Entities(self._company, _base(request))
        return _json(entities.job(job, self._company.now_ms))

    async def trace(self, request: web.Request) -> web.Response:
        """`GET /projects/:id/jobs/:job_id/trace`: the bytes, 200 and empty where none are left."""
        job = self._job(request)
        if job.log == "missing":
            raise _RefusedError("404 Not found", status=404)
        if job.log == "forbidden":
            raise _RefusedError("403 Forbidden", status=403)
        return web.Response(
            body=self._company.trace(job.id),
            content_type="text/plain",
            headers={"Content-Disposition": f'infile; filename="{job.id}.log"'},
        )

    def _job_page(self, request: web.Request, page: Page[Job]) -> web.Response:
        entities = Entities(self._company, _base(request))
        now = self._company.now_ms
        return _json([entities.job(job, now) for job in page.items], headers=page.headers)

    def _scoped(self, jobs: list[Job], scopes: frozenset[str]) -> list[Job]:
        if not scopes:
            return jobs
        now = self._company.now_ms
        return [job for job in jobs if job.status_at(now) in scopes]

    # -- pipelines --------------------------------------------------------------------------

    async def pipelines(self, request: web.Request) -> web.Response:
        """`GET /projects/:id/pipelines`: child pipelines only where their source is asked for."""
        project = self._readable(request)
        query, now = request.query, self._company.now_ms
        source = query.get("source")
        since, until = _moment(query, "updated_after"), _moment(query, "updated_before")
        items = [
            pipeline
            for pipeline in self._company.pipelines_of(project.id)
            if (pipeline.source == source if source else pipeline.source != "parent_pipeline")
            and (since is None or pipeline.updated_at(now) > since)
            and (until is None or pipeline.updated_at(now) < until)
        ]
        order = _PIPELINE_ORDERS.get(query.get("order_by", "id"))
        if order is None:
            raise BadQueryError("order_by does not have a valid value")
        items.sort(
            key=lambda pipeline: order(pipeline, now), reverse=query.get("sort", "desc") == "desc"
        )
        page = by_offset(items, query, _linker(request))
        entities = Entities(self._company, _base(request))
        return _json([entities.pipeline(each, now) for each in page.items], headers=page.headers)

    async def pipeline_jobs(self, request: web.Request) -> web.Response:
        """`GET /projects/:id/pipelines/:pipeline_id/jobs`: retried jobs only where asked for."""
        project = self._readable(request)
        wanted = request.match_info["pipeline"]
        now = self._company.now_ms
        for pipeline in self._company.pipelines_of(project.id):
            if str(pipeline.id) == wanted:
                break
        else:
            raise _RefusedError("404 Not found", status=404)
        retried = _flag(request.query, "include_retried", default=False)
        jobs = [
            job
            for job in pipeline.jobs
            if job.created <= now and (retried or not job.retried_at(now))
        ]
        jobs = self._scoped(sorted(jobs, key=_id, reverse=True), _scopes(request))
        return self._job_page(request, by_offset(jobs, request.query, _linker(request)))

    # -- what a path names ------------------------------------------------------------------

    def _project(self, request: web.Request) -> Project:
        project = self._company.project(request.match_info["project"])
        if project is None:
            raise _RefusedError("404 Project Not Found", status=404)
        return project

    def _readable(self, request: web.Request) -> Project:
        """Return the project, if the token's user may see its jobs."""
        project = self._project(request)
        if project.jobs_forbidden or not project.ci_enabled:
            raise _RefusedError("403 Forbidden", status=403)
        return project

    def _group(self, request: web.Request) -> Group:
        wanted = request.match_info["group"]
        for group in self._company.groups:
            if wanted in {str(group.id), group.path}:
                return group
        raise _RefusedError("404 Group Not Found", status=404)

    def _job(self, request: web.Request) -> Job:
        project = self._readable(request)
        wanted = request.match_info["job"]
        job = self._company.job(int(wanted)) if wanted.isdecimal() else None
        if job is None or job.project is not project or job.created > self._company.now_ms:
            raise _RefusedError("404 Not found", status=404)
        return job


class _RefusedError(Exception):
    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


_NO_KEYSET = "Keyset pagination is not yet available for this type of request"


def _json(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _linker(request: web.Request) -> Callable[[str], str]:
    return lambda query: f"{_base(request)}{request.rel_url.raw_path}?{query}"


def _id(thing: Job | Project) -> int:
    return thing.id


def _flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = query.get(name)
    if text is None:
        return default
    if text.lower() not in {"true", "false", "1", "0"}:
        raise BadQueryError(f"{name} is invalid")
    return text.lower() in {"true", "1"}


def _archived(projects: Sequence[Project], query: Mapping[str, str]) -> Sequence[Project]:
    if "archived" not in query:
        return projects
    wanted = _flag(query, "archived", default=False)
    return [project for project in projects if project.archived is wanted]


def _ordered(projects: Sequence[Project], query: Mapping[str, str]) -> list[Project]:
    order = _PROJECT_ORDERS.get(query.get("order_by", "created_at"))
    if order is None:
        raise BadQueryError("order_by does not have a valid value")
    return sorted(projects, key=order, reverse=query.get("sort", "desc") == "desc")


def _scopes(request: web.Request) -> frozenset[str]:
    query = request.query
    scopes = frozenset([*query.getall("scope", []), *query.getall("scope[]", [])])
    if not scopes <= _SCOPES:
        raise BadQueryError("scope does not have a valid value")
    return scopes


def _moment(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as problem:
        raise BadQueryError(f"{name} is invalid") from problem
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return int(moment.timestamp() * 1000)
