"""Life by hand: what people do to a company's jobs and projects, as its server shows it."""

from __future__ import annotations

import datetime as dt
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from logminer.simulator import Behaviour, Company, Server, serve
from logminer.simulator.bulk import Bulk

if TYPE_CHECKING:
    from logminer.simulator.events import Log

Get = Callable[..., Any]
Pages = Callable[[Server, str], list[Any]]

_KEYSET = "pagination=keyset&order_by=id&sort=desc&per_page=100"


@pytest.fixture
def project(small: Company) -> int:
    """The id of the busiest project whose jobs may be seen."""
    readable = [each for each in small.projects if each.ci_enabled and not each.jobs_forbidden]
    return max(readable, key=lambda each: len(small.jobs_of(each.id))).id


def _jobs(pages: Pages, server: Server, project: int) -> dict[int, str]:
    found = pages(server, f"/api/v4/projects/{project}/jobs?{_KEYSET}")
    assert [job["id"] for job in found] == sorted((job["id"] for job in found), reverse=True)
    return {job["id"]: job["status"] for job in found}


def _changed(pages: Pages, server: Server, project: int, since: dt.datetime) -> set[int]:
    query = f"updated_after={quote(since.isoformat())}"
    return {
        pipeline["id"]
        for source in ("", "&source=parent_pipeline")
        for pipeline in pages(server, f"/api/v4/projects/{project}/pipelines?{query}{source}")
    }


# -- jobs ---------------------------------------------------------------------------------------


def test_a_pipeline_is_created(small: Company, project: int, pages: Pages) -> None:
    """Its jobs are the newest, run when it is their time, and change the pipeline."""
    with serve(small) as server:
        before = _jobs(pages, server, project)
        pipeline = small.create_pipeline(project, seconds=60)
        job = pipeline.jobs[0]
        seen = [_jobs(pages, server, project)]
        for seconds in (3, 60):
            server.live(seconds)
            seen.append(_jobs(pages, server, project))
        changed = _changed(pages, server, project, small.now - dt.timedelta(seconds=5))

    assert job.id > max(before)
    assert [each[job.id] for each in seen] == ["pending", "running", "success"]
    assert seen[0].keys() - before.keys() == {job.id}
    assert changed == {pipeline.id}
    assert small.truth()[job.id].planted


def test_a_manual_job_waits_until_it_is_played(small: Company, project: int, pages: Pages) -> None:
    """Weeks later it runs under the same id, and its pipeline has changed."""
    pipeline = small.create_pipeline(project, when="manual", source="parent_pipeline")
    job = pipeline.jobs[0]
    with serve(small) as server:
        server.live(30 * 86_400)
        waiting = _jobs(pages, server, project)[job.id]
        quiet = _changed(pages, server, project, small.now - dt.timedelta(days=1))
        began = small.now
        small.play(job.id, seconds=600, status="failed")
        server.live(300)
        running = _jobs(pages, server, project)[job.id]
        server.live(400)
        ended = _jobs(pages, server, project)[job.id]
        changed = _changed(pages, server, project, began)

    assert (waiting, running, ended) == ("manual", "running", "failed")
    assert pipeline.id not in quiet
    assert pipeline.id in changed
    with pytest.raises(ValueError, match="is failed: it cannot be played"):
        small.play(job.id)


def test_a_delayed_job(small: Company, project: int) -> None:
    """It waits for half an hour and then runs by itself."""
    job = small.create_pipeline(project, when="delayed").jobs[0]
    statuses = []
    for seconds in (1, 30 * 60, 120):
        small.live(seconds)
        statuses.append(job.status_at(small.now_ms))

    assert statuses == ["scheduled", "pending", "success"]


def test_a_skipped_job_may_run_after_all(small: Company) -> None:
    """When the job before it is retried, a skipped one keeps its id."""
    job = next(job for job in small.jobs if job.status_at(small.now_ms) == "skipped")
    small.play(job.id)
    statuses = [job.status_at(small.now_ms)]
    small.live(100)
    statuses.append(job.status_at(small.now_ms))

    assert statuses == ["pending", "success"]
    assert small.trace(job.id)


def test_a_job_is_retried(small: Company, project: int, pages: Pages) -> None:
    """The new job has a new id; the old one stays, but not as the pipeline's latest."""
    pipeline = small.create_pipeline(project, status="failed")
    old = pipeline.jobs[0]
    small.live(100)
    new = small.retry(old.id)
    small.live(100)
    path = f"/api/v4/projects/{project}/pipelines/{pipeline.id}/jobs"
    with serve(small) as server:
        statuses = _jobs(pages, server, project)
        latest = [each["id"] for each in pages(server, path)]

    assert (statuses[old.id], statuses[new.id]) == ("failed", "success")
    assert latest == [new.id]
    with pytest.raises(ValueError, match="has not ended"):
        small.retry(small.create_pipeline(project).jobs[0].id)


def test_a_job_is_canceled(small: Company, project: int) -> None:
    """A running job ends at once and has a log that says so; a waiting one never runs."""
    running = small.create_pipeline(project, seconds=900).jobs[0]
    waiting = small.create_pipeline(project, when="manual").jobs[0]
    small.live(60)
    for job in (running, waiting):
        small.cancel(job.id)
    truth = small.truth()

    assert [truth[job.id].status for job in (running, waiting)] == ["canceled"] * 2
    assert [truth[job.id].trace_state for job in (running, waiting)] == ["ok", "not_started"]
    assert b"canceled" in small.trace(running.id)
    with pytest.raises(ValueError, match="has ended"):
        small.cancel(running.id)


def test_a_running_job_ends(small: Company, project: int) -> None:
    """A long job may end before its time, and only a running one can."""
    job = small.create_pipeline(project, seconds=10**6).jobs[0]
    with pytest.raises(ValueError, match="only a running one"):
        small.finish(job.id)
    small.live(60)
    small.finish(job.id, "failed")

    assert job.status_at(small.now_ms) == "failed"
    assert job.failure_reason == "script_failure"


def test_a_log_is_erased(small: Company, project: int, get: Get) -> None:
    """The log is empty and the job says since when."""
    job = small.create_pipeline(project).jobs[0]
    with pytest.raises(ValueError, match="cannot be erased"):
        small.erase(job.id)
    small.live(3600)
    before = small.truth()[job.id]
    small.erase(job.id)
    path = f"/api/v4/projects/{project}/jobs/{job.id}"
    with serve(small) as server:
        trace, body = get(server, f"{path}/trace"), get(server, path).json

    assert (before.trace_state, small.truth()[job.id].trace_state) == ("ok", "erased")
    assert (trace.status, trace.body) == (200, b"")
    assert body["erased_at"] is not None
    assert body["artifacts"] == []


@pytest.mark.parametrize(
    ("log", "status"), [("missing", 404), ("forbidden", 403), ("empty", 200), ("ok", 200)]
)
def test_a_log_is_lost(small: Company, project: int, get: Get, log: Log, status: int) -> None:
    """A log may be gone or forbidden, and come back."""
    job = small.create_pipeline(project).jobs[0]
    small.live(3600)
    whole = small.trace(job.id)
    small.lose(job.id, log)
    with serve(small) as server:
        answer = get(server, f"/api/v4/projects/{project}/jobs/{job.id}/trace")

    assert answer.status == status
    assert (answer.body == whole) == (log == "ok")
    assert small.truth()[job.id].trace_state == log


def test_a_pipeline_is_deleted(small: Company, project: int, get: Get, pages: Pages) -> None:
    """Its jobs are gone from the list and 404 by id; nothing of it is expected any more."""
    pipeline = small.create_pipeline(project)
    job = pipeline.jobs[0]
    small.live(3600)
    small.delete_pipeline(pipeline.id)
    with serve(small) as server:
        listed = _jobs(pages, server, project)
        paths = (f"jobs/{job.id}", f"jobs/{job.id}/trace", f"pipelines/{pipeline.id}/jobs")
        statuses = [get(server, f"/api/v4/projects/{project}/{path}").status for path in paths]

    assert job.id not in listed
    assert job.id not in small.truth()
    assert statuses == [404, 404, 404]
    with pytest.raises(KeyError, match="no pipeline"):
        small.delete_pipeline(pipeline.id)


def test_in_the_middle_of_a_life(project: int) -> None:
    """What is created while more is to come has an id between what was and what will be."""
    company = Company.generate(seed=4, today=dt.date(2026, 11, 23), days=60, projects=6, jobs=200)
    company.now = dt.datetime(2026, 10, 20, tzinfo=dt.UTC)
    seen = {job.id for each in company.projects for job in company.jobs_of(each.id)}
    project = next(each.id for each in company.projects if each.ci_enabled)
    pipeline = company.create_pipeline(project)
    company.live(100)
    company.retry(pipeline.jobs[0].id)
    still = {job.id for each in company.projects for job in company.jobs_of(each.id)}

    assert 0 < len(seen) < 200
    assert still > seen
    assert min(still - seen) > max(seen)
    assert [job.id for job in company.jobs] == sorted({job.id for job in company.jobs})
    assert [each.id for each in company.pipelines] == sorted(
        {each.id for each in company.pipelines}
    )
    moments = [job.created for job in company.jobs]
    assert moments == sorted(moments)


def test_unknown_names(small: Company, project: int) -> None:
    """A job, project or group that does not exist is said so."""
    with pytest.raises(ValueError, match="no job is named"):
        small.create_pipeline(project, ["nothing"])
    with pytest.raises(KeyError, match="no job has the id"):
        small.play(1)
    with pytest.raises(KeyError, match="no project has the id"):
        small.create_pipeline(1)
    with pytest.raises(KeyError, match="no group has the path"):
        small.create_project("nobody/project")


def test_jobs_of_chosen_names(small: Company, project: int) -> None:
    """A pipeline may have several jobs, each named as in the project's configuration."""
    with pytest.raises(ValueError, match="no job is named") as problem:
        small.create_pipeline(project, ["?"])
    names = str(problem.value).partition("only ")[2].split(", ")
    pipeline = small.create_pipeline(project, names)

    assert [job.template.name for job in pipeline.jobs] == names
    assert len(names) > 1


# -- projects -----------------------------------------------------------------------------------


def test_projects_change(small: Company, get: Get, pages: Pages) -> None:
    """Projects are founded, moved, shared, archived, closed, forbidden and deleted."""
    first, second, third = (each.id for each in small.projects[:3])
    new = small.create_project("acme/data/fresh")
    job = small.create_pipeline(new.id).jobs[0]
    small.rename(first, "orbit/backend/moved")
    small.archive(second)
    small.share(new.id, "partners")
    small.enable_ci(third, enabled=False)
    with serve(small) as server:
        listed = {each["id"]: each for each in pages(server, "/api/v4/projects?per_page=3")}
        shared = pages(server, "/api/v4/groups/partners/projects")
        moved = pages(server, "/api/v4/groups/orbit%2Fbackend/projects")
        jobs = _jobs(pages, server, new.id)
        closed = get(server, f"/api/v4/projects/{third}/jobs").status
        small.forbid(new.id)
        forbidden = get(server, f"/api/v4/projects/{new.id}/jobs").status
        small.delete_project(new.id)
        gone = get(server, f"/api/v4/projects/{new.id}").status

    assert listed[first]["path_with_namespace"] == "orbit/backend/moved"
    assert listed[second]["archived"]
    assert new.id in {each["id"] for each in shared}
    assert first in {each["id"] for each in moved}
    assert list(jobs) == [job.id]
    assert (closed, forbidden, gone) == (403, 403, 404)
    assert job.id not in small.truth()


def test_a_renamed_project_keeps_its_history(small: Company, get: Get) -> None:
    """Its jobs are found where it is now; their logs still say where they ran."""
    job = next(job for job in small.jobs if job.ran and not job.project.jobs_forbidden)
    before, path = small.trace(job.id), job.project.path
    small.rename(job.project.id, "acme/tools/elsewhere")
    with serve(small) as server:
        body = get(server, f"/api/v4/projects/{job.project.id}/jobs/{job.id}").json

    assert body["web_url"] == f"{server.url}/acme/tools/elsewhere/-/jobs/{job.id}"
    assert body["pipeline"]["web_url"].startswith(f"{server.url}/acme/tools/elsewhere/-/")
    assert small.trace(job.id) == before
    assert f"/builds/{path}/.git/".encode() in before


# -- the truth ----------------------------------------------------------------------------------


def test_truth_is_what_the_server_shows(year: Company, server: Server, get: Get) -> None:
    """Status, state and size of every expected log are those that asking for it shows."""
    expected = list(year.truth().values())
    states = {each.trace_state for each in expected}
    checked = set()
    for each in expected:
        if each.trace_state in checked and each.job_id % 40:
            continue
        checked.add(each.trace_state)
        path = f"/api/v4/projects/{each.project_id}/jobs/{each.job_id}"
        job, trace = get(server, path).json, get(server, f"{path}/trace")
        assert (job["status"], job["pipeline"]["id"]) == (each.status, each.pipeline_id)
        assert len(trace.body) == each.size or each.trace_state in {"missing", "forbidden"}
        assert trace.status == {"missing": 404, "forbidden": 403}.get(each.trace_state, 200)
        assert (job["erased_at"] is not None) == (each.trace_state == "erased")
        assert (job["started_at"] is None) == (each.trace_state == "not_started")
        assert bool(each.size) == (each.trace_state == "ok")
        assert not each.planted or each.trace_state == "ok"

    assert states == {"ok", "empty", "erased", "missing", "forbidden", "not_started"}


def test_truth_names_every_final_job(small: Company, pages: Pages) -> None:
    """The jobs expected are those that the lists show as final, no other."""
    listed = set()
    with serve(small) as server:
        for project in small.projects:
            if project.ci_enabled and not project.jobs_forbidden:
                jobs = _jobs(pages, server, project.id)
                listed |= {
                    job_id for job_id, status in jobs.items()
                    if status in {"success", "failed", "canceled", "skipped"}
                }  # fmt: skip

    assert set(small.truth()) == listed
    assert 0 < len(listed) < len(small.jobs)


def test_what_may_still_grow_is_not_settled(small: Company, project: int) -> None:
    """A log is settled once it is archived, or two hours after the end."""
    job = small.create_pipeline(project, seconds=10).jobs[0]
    small.live(20)
    early = small.truth()[job.id].settled
    small.live(20 * 60)

    assert not early
    assert small.truth()[job.id].settled
    assert all(each.settled for each in small.truth().values() if each.trace_state == "erased")


# -- size ---------------------------------------------------------------------------------------


def test_a_very_large_log(small: Company, project: int, get: Get) -> None:
    """A log may be made as large as one likes; its truth stays."""
    job = small.create_pipeline(project).jobs[0]
    small.live(3600)
    rows, before = small.planted(job.id), small.trace(job.id)
    small.enlarge(job.id, 3_000_001)
    path = f"/api/v4/projects/{project}/jobs/{job.id}"
    with serve(small, behaviour=Behaviour(ranges=True)) as server:
        whole = get(server, f"{path}/trace").body
        part = get(server, f"{path}/trace", {"Range": "bytes=2999000-"}).body
        size = get(server, path).json["artifacts"][-1]["size"]

    assert len(whole) == size == small.truth()[job.id].size == 3_000_001
    assert part == whole[2_999_000:]
    assert whole[:500] == before[:500]
    assert whole[-20:] == before[-20:]
    assert small.planted(job.id) == rows
    assert all(row.image.encode() in whole for row in rows)
    with pytest.raises(ValueError, match="fewer than head and tail"):
        small.enlarge(job.id, 10)


def test_a_gigabyte_is_never_held(small: Company, project: int) -> None:
    """A log of 1 GiB costs its server no memory."""
    job = small.create_pipeline(project).jobs[0]
    small.live(3600)
    small.enlarge(job.id, 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = small.log(job.id)
    assert isinstance(body, Bulk)
    read = sum(map(len, body[: 2**28]))

    assert (len(body), read) == (2**30, 2**28)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_parts_of_a_bulk() -> None:
    """A bulk has the length, the slices and the pieces of the bytes it stands for."""
    bulk = Bulk(head=b"head", block=b"0123456789", tail=b"tail", size=31)
    whole = b"head" + b"0123456789" * 2 + b"012" + b"tail"

    assert b"".join(bulk) == whole
    for start in range(len(whole) + 2):
        for stop in range(len(whole) + 2):
            assert b"".join(bulk[start:stop]) == whole[start:stop]
            assert len(bulk[start:stop]) == len(whole[start:stop])
    assert b"".join(bulk[5:20][2:9]) == whole[5:20][2:9]


def test_ready_logs(get: Get) -> None:
    """With ready logs the truth is that of what is served, also where jobs share a log."""
    company = Company.generate(
        seed=1, today=dt.date(2026, 11, 23), days=60, projects=20, jobs=2_500,
        median_trace_bytes=300, prerender=True,
    )  # fmt: skip
    jobs = [
        job
        for job in company.jobs
        if job.log == "ok" and job.ran and (job.finished or 0) < company.now_ms
    ]
    shared = jobs[-1]
    visible = [job for job in jobs if not job.project.jobs_forbidden][-3:]
    with serve(company) as server:
        for job in visible:
            path = f"/api/v4/projects/{job.project.id}/jobs/{job.id}/trace"
            assert get(server, path).body == company.trace(job.id)

    assert len({company.trace(job.id) for job in jobs}) <= 1_000 < len(jobs)
    assert company.trace_size(shared.id) == len(company.trace(shared.id))
    for job in jobs[-300:]:
        text = company.trace(job.id)
        assert all(row.job_id == job.id for row in company.planted(job.id))
        assert all(row.image.encode() in text for row in company.planted(job.id))


def test_untouched_manual_jobs() -> None:
    """Manual jobs that nobody plays come on top of the others and stay as they are."""
    company = Company.generate(
        seed=1, today=dt.date(2026, 11, 23), days=60, projects=20, jobs=50, untouched=105
    )
    company.now += dt.timedelta(days=300)
    statuses = [job.status_at(company.now_ms) for job in company.jobs]

    assert len(statuses) == 155
    assert statuses.count("manual") >= 105


@pytest.mark.slow
def test_generating_much_is_quick() -> None:
    """100,000 jobs in 1,000 projects are there within seconds, in moderate memory."""
    program = (
        "import datetime as dt, resource\n"
        "from logminer.simulator import Company\n"
        "company = Company.generate(seed=1, today=dt.date(2026, 11, 23), days=365, projects=1000,"
        " jobs=100_000, untouched=10_000)\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        # Not ru_maxrss: that begins with what the process had that started this one.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(len(company.jobs), used.ru_utime, int(peak.split()[1]) // 1024)\n"
    )
    ended = subprocess.run(  # noqa: S603 -- this very interpreter
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    count, seconds, megabytes = ended.stdout.split()

    assert count == "110000"
    assert float(seconds) < 20
    assert int(megabytes) < 400
