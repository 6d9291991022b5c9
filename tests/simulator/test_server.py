"""The API as a client meets it, over real HTTP."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from logminer.simulator import Behaviour, Company, Server, serve
from logminer.simulator.__main__ import main

Get = Callable[..., Any]
Pages = Callable[[Server, str], list[Any]]

_API = "/api/v4"
_KEYSET = "pagination=keyset&order_by=id&sort=desc&per_page=100"


def _small() -> Company:
    return Company.generate(seed=2, today=dt.date(2026, 11, 23), days=20, projects=8, jobs=60)


def _busiest(company: Company) -> int:
    readable = [project for project in company.projects if not project.jobs_forbidden]
    return max(readable, key=lambda project: len(company.jobs_of(project.id))).id


# -- who may ask --------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"PRIVATE-TOKEN": "x"}, {"PRIVATE-TOKEN": ""}])
def test_wrong_token(server: Server, get: Get, headers: dict[str, str]) -> None:
    """A wrong or missing token is told so in JSON."""
    answer = get(server, f"{_API}/version", headers)

    assert (answer.status, answer.json) == (401, {"message": "401 Unauthorized"})


def test_bearer_token(server: Server, get: Get) -> None:
    """The token may come as a bearer token too."""
    with_bearer = {"Authorization": f"Bearer {server.token}"}
    connection_headers = {"PRIVATE-TOKEN": server.token, **with_bearer}

    assert get(server, f"{_API}/user", connection_headers).json["username"] == "harvest-bot"


def test_version_and_date(server: Server, get: Get) -> None:
    """The server says its version; its clock is the company's."""
    answer = get(server, f"{_API}/version")

    assert answer.json["version"] == "19.3.1-ee"
    assert parsedate_to_datetime(answer.headers["Date"]) == server.company.now


def test_unknown_path(server: Server, get: Get) -> None:
    """An unknown path is answered as GitLab's API does, not as a web server does."""
    answer = get(server, f"{_API}/nothing")

    assert (answer.status, answer.json) == (404, {"error": "404 Not Found"})


# -- projects and groups ------------------------------------------------------------------------


def test_projects_by_keyset(server: Server, pages: Pages) -> None:
    """The keyset pages of `/projects` give every project once, ascending."""
    found = pages(server, f"{_API}/projects?pagination=keyset&order_by=id&sort=asc&per_page=50")

    assert [each["id"] for each in found] == [project.id for project in server.company.projects]


def test_project_by_id_and_path(server: Server, get: Get) -> None:
    """A project answers to its id and to its encoded path."""
    project = server.company.projects[5]
    by_id = get(server, f"{_API}/projects/{project.id}").json
    by_path = get(server, f"{_API}/projects/{quote(project.path, safe='')}").json

    assert by_id == by_path
    assert (by_id["path_with_namespace"], by_id["builds_access_level"], by_id["jobs_enabled"]) == (
        project.path, "disabled", False,
    )  # fmt: skip


def test_unknown_project_and_group(server: Server, get: Get) -> None:
    """What does not exist is a 404 with GitLab's words."""
    assert get(server, f"{_API}/projects/1").json == {"message": "404 Project Not Found"}
    assert get(server, f"{_API}/projects/a%2Fb/jobs").status == 404
    assert get(server, f"{_API}/groups/nobody").json == {"message": "404 Group Not Found"}


def test_subgroups_only_when_asked_for(server: Server, pages: Pages) -> None:
    """A group's projects leave out the subgroups' unless `include_subgroups` is set."""
    company = server.company
    group = next(each for each in company.groups if each.path == "acme/shop")
    path = f"{_API}/groups/{quote(group.path, safe='')}/projects?order_by=id&sort=asc&per_page=7"
    direct = pages(server, path)
    below = pages(server, f"{path}&include_subgroups=true")

    assert [each["id"] for each in direct] == [
        project.id for project in company.projects if project.group_id == group.id
    ]
    assert [each["id"] for each in below] == [
        project.id for project in company.projects if project.path.startswith("acme/shop/")
    ]
    assert len(direct) < len(below)


def test_shared_projects_come_unless_refused(server: Server, pages: Pages) -> None:
    """A project shared with a group is listed there unless `with_shared` is false."""
    shared = [each["id"] for each in pages(server, f"{_API}/groups/partners/projects")]
    own = pages(server, f"{_API}/groups/partners/projects?with_shared=false")

    assert shared == [server.company.projects[1].id]
    assert own == []


def test_archived_filter(server: Server, pages: Pages) -> None:
    """Archived projects are listed, only, or left out."""
    archived = pages(server, f"{_API}/projects?archived=true")
    others = pages(server, f"{_API}/projects?archived=false&per_page=100")

    assert len(archived) == 4
    assert len(archived) + len(others) == len(server.company.projects)


# -- jobs ---------------------------------------------------------------------------------------


def test_keyset_covers_all_jobs(server: Server, get: Get, pages: Pages) -> None:
    """The keyset pages of all readable projects give every job exactly once, newest first."""
    expected = []
    found = []
    for project in server.company.projects:
        if project.jobs_forbidden or not project.ci_enabled:
            assert get(server, f"{_API}/projects/{project.id}/jobs").status == 403
            continue
        ids = [each["id"] for each in pages(server, f"{_API}/projects/{project.id}/jobs?{_KEYSET}")]
        assert ids == sorted(ids, reverse=True)
        found += ids
        expected += [
            job.id for job in server.company.jobs
            if job.project is project and job.created <= server.company.now_ms
        ]  # fmt: skip

    assert sorted(found) == sorted(expected)


def test_jobs_list_headers(server: Server, get: Get) -> None:
    """A keyset page leads on by cursor, an offset page by number; neither gives totals."""
    path = f"{_API}/projects/{_busiest(server.company)}/jobs"
    keyset = get(server, f"{path}?pagination=keyset&per_page=2").headers
    offset = get(server, f"{path}?page=2&per_page=2").headers

    assert keyset["X-Next-Cursor"]
    assert keyset["X-Next-Page"] is None
    assert offset["X-Next-Page"] == "3"
    assert keyset["X-Total"] is offset["X-Total"] is None


def test_offset_agrees_with_keyset(server: Server, pages: Pages) -> None:
    """Both ways of paging list the same jobs in the same order."""
    path = f"{_API}/projects/{_busiest(server.company)}/jobs"

    assert pages(server, f"{path}?per_page=17") == pages(server, f"{path}?{_KEYSET}")


def test_ascending_keyset_is_refused(server: Server, get: Get) -> None:
    """Keyset paging of jobs goes downward only."""
    path = f"{_API}/projects/{_busiest(server.company)}/jobs"
    answer = get(server, f"{path}?pagination=keyset&order_by=id&sort=asc")

    assert answer.status == 405
    assert answer.json == {
        "error": "Keyset pagination is not yet available for this type of request"
    }


def test_scope(server: Server, get: Get, pages: Pages) -> None:
    """`scope[]` may be repeated; an unknown status is refused."""
    path = f"{_API}/projects/{_busiest(server.company)}/jobs?per_page=100"
    every = pages(server, path)
    some = pages(server, f"{path}&scope[]=failed&scope[]=canceled")

    assert some == [each for each in every if each["status"] in {"failed", "canceled"}]
    assert get(server, f"{path}&scope[]=done").status == 400


def test_shape_of_a_job(server: Server, pages: Pages) -> None:
    """A job has the fields of GitLab's, and those that depend on its status only then."""
    jobs = [
        job
        for project in server.company.projects[:40]
        if project.ci_enabled and not project.jobs_forbidden
        for job in pages(server, f"{_API}/projects/{project.id}/jobs?{_KEYSET}")
    ]

    for job in jobs:
        assert set(job) - {"failure_reason", "artifacts_file"} == {
            "id", "status", "stage", "name", "ref", "tag", "coverage", "allow_failure",
            "created_at", "started_at", "finished_at", "erased_at", "duration", "queued_duration",
            "user", "commit", "pipeline", "web_url", "project", "artifacts", "runner",
            "runner_manager", "artifacts_expire_at", "archived", "source", "tag_list",
        }  # fmt: skip
        assert ("failure_reason" in job) == (job["status"] == "failed")
        assert (job["runner"] is None) == (job["started_at"] is None) == (job["duration"] is None)
        assert ("artifacts_file" in job) == any(
            each["file_type"] == "archive" for each in job["artifacts"]
        )


def test_trace_size_is_listed_once_archived(server: Server, get: Get, pages: Pages) -> None:
    """The `trace` artifact tells the size of the log the API gives."""
    project = _busiest(server.company)
    checked = 0
    for job in pages(server, f"{_API}/projects/{project}/jobs?{_KEYSET}")[:60]:
        sizes = [each["size"] for each in job["artifacts"] if each["file_type"] == "trace"]
        answer = get(server, f"{_API}/projects/{project}/jobs/{job['id']}/trace")
        if sizes and answer.status == 200:
            checked += 1
            assert len(answer.body) == sizes[0]
            assert answer.headers["Content-Type"].startswith("text/plain")

    assert checked > 10


@pytest.mark.parametrize(
    ("log", "status", "body"),
    [
        ("ok", 200, None),
        ("erased", 200, b""),
        ("empty", 200, b""),
        ("missing", 404, b'{"message":"404 Not found"}'),
        ("forbidden", 403, b'{"message":"403 Forbidden"}'),
    ],
)
def test_states_of_a_trace(
    server: Server, get: Get, log: str, status: int, body: bytes | None
) -> None:
    """A log may be there, erased, empty, missing, or forbidden to this token."""
    company = server.company
    job = next(
        job for job in company.jobs
        if job.log == log and job.ran and not job.project.jobs_forbidden
        and (job.erased or 0) < company.now_ms and (job.finished or 0) < company.now_ms
    )  # fmt: skip
    path = f"{_API}/projects/{job.project.id}/jobs/{job.id}"
    answer = get(server, f"{path}/trace")

    assert answer.status == status
    if body is None:
        assert answer.body == company.trace(job.id) != b""
    else:
        assert answer.body == body
    assert (get(server, path).json["erased_at"] is not None) == (log == "erased")


def test_job_of_another_project(server: Server, get: Get) -> None:
    """A job is found only in its own project."""
    job = server.company.jobs[0]
    other = next(
        each for each in server.company.projects
        if each is not job.project and each.ci_enabled and not each.jobs_forbidden
    )  # fmt: skip

    assert get(server, f"{_API}/projects/{other.id}/jobs/{job.id}").status == 404
    assert get(server, f"{_API}/projects/{other.id}/jobs/none/trace").status == 404


# -- pipelines ----------------------------------------------------------------------------------


def test_child_pipelines_only_by_source(server: Server, pages: Pages) -> None:
    """Child pipelines are left out unless their source is asked for."""
    company = server.company
    child = next(
        each for each in company.pipelines
        if each.source == "parent_pipeline" and not each.project.jobs_forbidden
    )  # fmt: skip
    path = f"{_API}/projects/{child.project.id}/pipelines?per_page=100"
    listed = {each["id"] for each in pages(server, path)}
    children = {each["id"] for each in pages(server, f"{path}&source=parent_pipeline")}

    assert child.id in children
    assert not children & listed
    assert children | listed == {each.id for each in company.pipelines_of(child.project.id)}


def test_updated_pipelines(server: Server, pages: Pages) -> None:
    """`updated_after` and `updated_before` bound the last change, in its order."""
    project = _busiest(server.company)
    path = f"{_API}/projects/{project}/pipelines?order_by=updated_at&sort=asc&per_page=5"
    since, until = "2026-03-01T00:00:00Z", "2026-09-01T00:00:00Z"
    every = pages(server, path)
    some = pages(server, f"{path}&updated_after={since}&updated_before={until}")

    assert [each["updated_at"] for each in every] == sorted(each["updated_at"] for each in every)
    assert some == [each for each in every if since < each["updated_at"] < until]
    assert 0 < len(some) < len(every)


def test_retried_jobs_of_a_pipeline(server: Server, get: Get, pages: Pages) -> None:
    """A job that was retried is listed in its pipeline only where asked for."""
    job = next(
        each for each in server.company.jobs
        if each.retry is not None and not each.project.jobs_forbidden
    )  # fmt: skip
    path = f"{_API}/projects/{job.project.id}/pipelines/{job.pipeline.id}/jobs"
    latest = {each["id"] for each in pages(server, path)}
    every = {each["id"] for each in pages(server, f"{path}?include_retried=true")}

    assert job.id not in latest
    assert every == {each.id for each in job.pipeline.jobs}
    assert get(server, f"{_API}/projects/{job.project.id}/pipelines/1/jobs").status == 404


# -- time ---------------------------------------------------------------------------------------


def test_a_manual_job_is_played_later(get: Get) -> None:
    """Letting time pass reveals what happens later: a job that waited runs and ends."""
    company = Company.generate(seed=4, today=dt.date(2026, 11, 23), days=120, projects=10, jobs=400)
    job = next(
        each for each in company.jobs
        if each.waiting == "manual" and each.queued and each.status == "success"
        and not each.project.jobs_forbidden
    )  # fmt: skip
    waiting, done = (
        dt.datetime.fromtimestamp((moment or 0) / 1000 + 1, dt.UTC)
        for moment in (job.ready, job.archived)
    )
    path = f"{_API}/projects/{job.project.id}/jobs/{job.id}"
    company.now = waiting
    with serve(company) as server:
        before = get(server, path).json
        updated = f"{_API}/projects/{job.project.id}/pipelines?updated_after={waiting:%FT%TZ}"
        updated += f"&source={job.pipeline.source}&per_page=100"
        quiet = {each["id"] for each in get(server, updated).json}
        server.advance(done)
        after = get(server, path).json
        changed = {each["id"] for each in get(server, updated).json}
        with pytest.raises(ValueError, match="is before"):
            server.advance(waiting)

    assert (before["status"], before["started_at"], before["artifacts"]) == ("manual", None, [])
    assert after["status"] == "success"
    assert after["artifacts"][-1]["file_type"] == "trace"
    assert job.pipeline.id not in quiet
    assert job.pipeline.id in changed


def test_the_future_is_not_listed(server: Server, get: Get, pages: Pages) -> None:
    """Jobs and pipelines that are not yet created do not exist."""
    company = server.company
    project = _busiest(company)
    company.now = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    jobs = pages(server, f"{_API}/projects/{project}/jobs?{_KEYSET}")
    future = next(
        job for job in company.jobs if job.created > company.now_ms and job.project.id == project
    )

    assert jobs
    assert all(job["created_at"] <= "2026-06-01T00:00:00.000Z" for job in jobs)
    assert get(server, f"{_API}/projects/{project}/jobs/{future.id}").status == 404


# -- behaviour ----------------------------------------------------------------------------------


def test_general_limit(get: Get) -> None:
    """Over the general limit everything is `Retry later`, with headers that say until when."""
    with serve(_small(), behaviour=Behaviour(requests_per_minute=2)) as server:
        first, second, third = (get(server, f"{_API}/version") for _ in range(3))

    assert [first.status, second.status, third.status] == [200, 200, 429]
    assert [each.headers["RateLimit-Remaining"] for each in (first, second)] == ["1", "0"]
    assert first.headers["Retry-After"] is None
    assert (third.body, third.headers["Content-Type"]) == (
        b"Retry later\n", "text/plain; charset=utf-8",
    )  # fmt: skip
    assert 0 < int(third.headers["Retry-After"]) <= 61
    assert third.headers["RateLimit-ResetTime"].endswith("GMT")


def test_limit_of_the_jobs_list(get: Get) -> None:
    """The jobs list has a limit of its own, answered in JSON and without RateLimit headers."""
    company = _small()
    path = f"{_API}/projects/{_busiest(company)}/jobs"
    with serve(company, behaviour=Behaviour(jobs_lists_per_minute=1)) as server:
        first, second = (get(server, path) for _ in range(2))
        other = get(server, f"{_API}/version")

    assert (first.status, second.status, other.status) == (200, 429, 200)
    assert second.json == {
        "message": {"error": "This endpoint has been requested too many times. Try again later."}
    }
    assert second.headers["Retry-After"] == "60"
    assert second.headers["RateLimit-Limit"] is None


def test_gzip(get: Get) -> None:
    """A server may compress for clients that accept it."""
    company = _small()
    with serve(company, behaviour=Behaviour(gzip=True)) as server:
        answer = get(server, f"{_API}/projects", {"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(answer.body))) == 8


def test_requests_are_counted(get: Get) -> None:
    """The server tells how often it was asked for what."""
    company = _small()
    job = company.jobs[0]
    with serve(company) as server:
        get(server, f"{_API}/version")
        get(server, f"{_API}/projects/{job.project.id}/jobs/{job.id}/trace")
        get(server, f"{_API}/nothing")

    assert server.requests.counts == {"version": 1, "trace": 1, "unknown": 1}
    assert server.requests.log[0] == ("version", "/api/v4/version", 200)
    assert server.requests.total == 3


def test_in_the_foreground(get: Get) -> None:
    """`python -m logminer.simulator` prints URL and token, and serves as its flags say."""
    command = [sys.executable, "-m", "logminer.simulator", "--port=0", "--jobs=20", "--projects=3"]
    command += ["--server-version=16.1.0", "--untouched=4", "--prerender", "--fault-rate=1"]
    command += ["--fault-on=user,group", "--fault-kinds=error_502", "--token=secret"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 -- this very interpreter
        try:
            assert process.stdout is not None
            url, token = (process.stdout.readline().strip() for _ in range(2))
            server = SimpleNamespace(url=url, token=token)
            projects = get(server, f"{_API}/projects").json
            version = get(server, f"{_API}/version").json["version"]
            failing = get(server, f"{_API}/user").status
        finally:
            process.terminate()

    assert token == "secret"  # noqa: S105 -- it opens a simulator that is gone
    assert (len(projects), version, failing) == (3, "16.1.0", 502)


def test_a_flag_that_means_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault that does not exist is refused in one line, not served as health."""
    monkeypatch.setattr(sys, "argv", ["simulator", "--fault-rate=1", "--fault-kinds=slow"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("error: no such fault: slow")
