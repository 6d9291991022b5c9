"""API v4 over a company, as far as a harvester of traces uses it.

Every handler is short and answers from the company as of `company.now`; `Behaviour` holds what may
differ between servers. Facts about paging, limits and bodies are those of GitLab's own code and
documentation.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from logminer.simulator.answer import Answer, as_json, as_text
from logminer.simulator.entities import Entities
from logminer.simulator.pages import (
    BadQueryError,
    Cap,
    Page,
    by_cursor,
    by_id,
    by_offset,
    page_size,
)
from logminer.simulator.ranges import ranged
from logminer.simulator.refusal import RefusedError
from logminer.simulator.repositories import RepositoryApi

if TYPE_CHECKING:
    from logminer.simulator.company import Company
    from logminer.simulator.gate import Gate
    from logminer.simulator.life import Job, Pipeline
    from logminer.simulator.organisation import Group, Project
    from logminer.simulator.requests import Requests

Handler = Callable[[web.Request], Awaitable[Answer]]

SIMULATOR = "/-/simulator"
"""Paths that no GitLab has: how the simulator itself is asked."""

_ROOT = "/api/v4"
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


class Api:
    """The handlers: one method for each endpoint."""

    def __init__(self, company: Company, gate: Gate, requests: Requests) -> None:
        """Serve this company to whom the gate lets through."""
        self._company = company
        self._gate = gate
        self._requests = requests
        self._repositories = RepositoryApi(company, gate, self._project)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a route's name is the kind its requests are counted under."""
        project, group = f"{_ROOT}/projects/{{project}}", f"{_ROOT}/groups/{{group}}"
        pipelines = f"{project}/pipelines"
        return [
            web.get(f"{SIMULATOR}/requests", self.requests),
            self._route("version", f"{_ROOT}/version", self.version),
            self._route("user", f"{_ROOT}/user", self.user),
            self._route("projects", f"{_ROOT}/projects", self.projects),
            self._route("project", project, self.project),
            self._route("group", group, self.group),
            self._route("group_projects", f"{group}/projects", self.group_projects),
            self._route("jobs", f"{project}/jobs", self.jobs),
            self._route("job", f"{project}/jobs/{{job}}", self.job),
            self._route("trace", f"{project}/jobs/{{job}}/trace", self.trace),
            self._route("pipelines", pipelines, self.pipelines),
            self._route("pipeline_jobs", f"{pipelines}/{{pipeline}}/jobs", self.pipeline_jobs),
            *self._repository_routes(project),
            self._route("unknown", "/{path:.*}", self.unknown),
        ]

    def _repository_routes(self, project: str) -> list[web.RouteDef]:
        files, api = f"{project}/repository", self._repositories
        return [
            self._route("branch", f"{files}/branches/{{branch}}", api.branch),
            self._route("archive", f"{files}/archive.tar.gz", api.archive),
            self._route("tree", f"{files}/tree", api.tree),
            self._route("file", f"{files}/files/{{path}}/raw", api.file),
            self._route("lint", f"{project}/ci/lint", api.lint),
            self._route("search", f"{project}/search", api.search),
        ]

    def _route(self, kind: str, path: str, handler: Handler) -> web.RouteDef:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._gate.answer(
                request, kind, lambda: self._answered(request, kind, handler)
            )

        return web.get(path, serve, name=kind)

    async def _answered(self, request: web.Request, kind: str, handler: Handler) -> Answer:
        try:
            answer = await handler(request)
        except BadQueryError as problem:
            return as_json({"error": str(problem)}, status=problem.status)
        except RefusedError as refusal:
            return as_json({"message": str(refusal)}, status=refusal.status)
        except _MovedError as moved:
            text = f"This resource has been moved permanently to {moved.url}"
            return as_text(text, status=301, headers={"Location": moved.url})
        if kind in self._gate.behaviour.empty:
            return as_text("") if kind == "trace" else as_json([])
        return answer

    async def requests(self, _request: web.Request) -> web.Response:
        """`GET /-/simulator/requests`: what was asked so far, for other processes."""
        return web.json_response(self._requests.summary())

    async def unknown(self, _request: web.Request) -> Answer:
        """Answer what GitLab's API does not know."""
        return as_json({"error": "404 Not Found"}, status=404)

    # -- the instance -----------------------------------------------------------------------

    async def version(self, _request: web.Request) -> Answer:
        """`GET /version`."""
        return as_json(
            {"version": self._gate.behaviour.version, "revision": "535ced5f", "enterprise": True}
        )

    async def user(self, request: web.Request) -> Answer:
        """`GET /user`: the token's own."""
        return as_json(
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

    async def projects(self, request: web.Request) -> Answer:
        """`GET /projects`: keyset by id, or offset."""
        query, paging = request.query, self._gate.behaviour.pages
        items = _archived(self._company.projects, query)
        link = _linker(request)
        if query.get("pagination") == "keyset":
            if query.get("order_by", "id") != "id":
                raise BadQueryError(_NO_KEYSET, status=405)
            page = by_id(items, _id, query, link, paging)
        else:
            page = by_offset(_ordered(items, query), query, link, paging, self._cap("Project"))
        return self._project_page(request, page)

    async def project(self, request: web.Request) -> Answer:
        """`GET /projects/:id`."""
        entities = Entities(self._company, _base(request))
        project = self._project(request)
        return as_json(entities.project(project, sizes=self._tells_sizes(request)))

    async def group(self, request: web.Request) -> Answer:
        """`GET /groups/:id`."""
        return as_json(Entities(self._company, _base(request)).group(self._group(request)))

    async def group_projects(self, request: web.Request) -> Answer:
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
        paging = self._gate.behaviour.pages
        page = by_offset(_ordered(items, query), query, _linker(request), paging)
        return self._project_page(request, page)

    def _project_page(self, request: web.Request, page: Page[Project]) -> Answer:
        entities = Entities(self._company, _base(request))
        simple = _flag(request.query, "simple", default=False)
        sizes = self._tells_sizes(request)
        body = [entities.project(project, simple=simple, sizes=sizes) for project in page.items]
        return as_json(body, headers=page.headers)

    def _tells_sizes(self, request: web.Request) -> bool:
        asked = _flag(request.query, "statistics", default=False)
        return asked and self._gate.behaviour.tells_sizes

    # -- jobs and traces --------------------------------------------------------------------

    async def jobs(self, request: web.Request) -> Answer:
        """`GET /projects/:id/jobs`: newest first, keyset or offset, never with totals."""
        project = self._readable(request)
        query, behaviour = request.query, self._gate.behaviour
        jobs = self._scoped(self._company.jobs_of(project.id), _scopes(request))
        if query.get("pagination") == "keyset" and self._gate.age.pages_jobs_by_keyset:
            if query.get("order_by", "id") != "id" or query.get("sort", "desc") != "desc":
                raise BadQueryError(_NO_KEYSET, status=405)
            page = by_cursor(jobs, _id, self._capped(query), _linker(request), behaviour.pages)
            return self._job_page(request, page)
        if query.get("sort", "desc") == "desc":
            jobs = list(reversed(jobs))
        cap = self._cap("Ci::Build")
        return self._job_page(
            request, by_offset(jobs, query, _linker(request), behaviour.pages, cap)
        )

    async def job(self, request: web.Request) -> Answer:
        """`GET /projects/:id/jobs/:job_id`."""
        job = self._job(request)
        return as_json(self._described(request)(job))

    async def trace(self, request: web.Request) -> Answer:
        """`GET /projects/:id/jobs/:job_id/trace`: the bytes, 200 and empty where none are left."""
        job = self._job(request)
        erased = job.erased is not None and job.erased <= self._company.now_ms
        if job.log == "missing" and not erased:
            raise RefusedError("404 Not found", status=404)
        if job.log == "forbidden" and not erased:
            raise RefusedError("403 Forbidden", status=403)
        behaviour = self._gate.behaviour
        body = self._company.log(job.id, growing=behaviour.growing)
        answer = Answer(
            body=body,
            kind="text/plain",
            headers={"Content-Disposition": f'infile; filename="{job.id}.log"'},
            chunked=behaviour.chunked,
        )
        archived = job.archived is not None and job.archived <= self._company.now_ms
        if behaviour.ranges and behaviour.archives and archived:
            answer.headers["ETag"] = f'"{job.id:x}-{len(body):x}"'
            return ranged(answer, request.headers.get("Range"))
        return answer

    def _job_page(self, request: web.Request, page: Page[Job]) -> Answer:
        return as_json(list(map(self._described(request), page.items)), headers=page.headers)

    def _described(self, request: web.Request) -> Callable[[Job], dict[str, Any]]:
        """Return a function that gives the JSON of a job, as this server knows it."""
        entities = Entities(self._company, _base(request), archives=self._gate.behaviour.archives)
        age, now = self._gate.age, self._company.now_ms
        return lambda job: age.job(entities.job(job, now))

    def _cap(self, objects: str) -> Cap | None:
        rows = self._gate.behaviour.offset_cap
        return None if rows is None else Cap(rows, objects)

    def _capped(self, query: Mapping[str, str]) -> dict[str, str]:
        """Return a query for pages that are no longer than this server's."""
        most = self._gate.behaviour.largest_page
        return {**query, "per_page": str(min(page_size(query), most))}

    def _scoped(self, jobs: list[Job], scopes: frozenset[str]) -> list[Job]:
        if not scopes:
            return jobs
        now = self._company.now_ms
        return [job for job in jobs if job.status_at(now) in scopes]

    # -- pipelines --------------------------------------------------------------------------

    async def pipelines(self, request: web.Request) -> Answer:
        """`GET /projects/:id/pipelines`: child pipelines only where their source is asked for."""
        project = self._readable(request)
        query, now = request.query, self._company.now_ms
        source = query.get("source")
        if source == "parent_pipeline" and not self._gate.age.lists_child_pipelines:
            raise BadQueryError("source does not have a valid value")
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
        paging = self._gate.behaviour.pages
        page = by_offset(items, self._capped(query), _linker(request), paging)
        entities = Entities(self._company, _base(request))
        return as_json([entities.pipeline(each, now) for each in page.items], headers=page.headers)

    async def pipeline_jobs(self, request: web.Request) -> Answer:
        """`GET /projects/:id/pipelines/:pipeline_id/jobs`: retried jobs only where asked for."""
        project = self._readable(request)
        wanted = request.match_info["pipeline"]
        now = self._company.now_ms
        for pipeline in self._company.pipelines_of(project.id):
            if str(pipeline.id) == wanted:
                break
        else:
            raise RefusedError("404 Not found", status=404)
        retried = _flag(request.query, "include_retried", default=False)
        jobs = [
            job
            for job in pipeline.jobs
            if job.created <= now and (retried or not job.retried_at(now))
        ]
        jobs = self._scoped(sorted(jobs, key=_id, reverse=True), _scopes(request))
        page = by_offset(jobs, self._capped(request.query), _linker(request))
        return self._job_page(request, page)

    # -- what a path names ------------------------------------------------------------------

    def _project(self, request: web.Request) -> Project:
        wanted = request.match_info["project"]
        project = self._company.project(wanted)
        if project is None and self._gate.age.redirects_moved_projects:
            moved = self._company.moved_to(wanted)
            if moved is not None:
                raise _MovedError(_by_id(request, moved))
        if project is None:
            raise RefusedError("404 Project Not Found", status=404)
        return project

    def _readable(self, request: web.Request) -> Project:
        """Return the project, if the token's user may see its jobs."""
        project = self._project(request)
        if project.jobs_forbidden or not project.ci_enabled:
            raise RefusedError("403 Forbidden", status=403)
        return project

    def _group(self, request: web.Request) -> Group:
        wanted = request.match_info["group"]
        for group in self._company.groups:
            if wanted in {str(group.id), group.path}:
                return group
        raise RefusedError("404 Group Not Found", status=404)

    def _job(self, request: web.Request) -> Job:
        project = self._readable(request)
        wanted = request.match_info["job"]
        job = self._company.job(int(wanted)) if wanted.isdecimal() else None
        if job is None or job.project.id != project.id or job.created > self._company.now_ms:
            raise RefusedError("404 Not found", status=404)
        return job


class _MovedError(Exception):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


_NO_KEYSET = "Keyset pagination is not yet available for this type of request"


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _by_id(request: web.Request, project_id: int) -> str:
    """Return the URL asked for, with the project's id in place of its old path."""
    asked = request.rel_url.raw_path.removeprefix(f"{_ROOT}/projects/")
    rest = asked.partition("/")[2]
    url = f"{_base(request)}{_ROOT}/projects/{project_id}"
    url += f"/{rest}" if rest else ""
    return f"{url}?{request.query_string}" if request.query_string else url


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
