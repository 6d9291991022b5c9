"""Limits, lies, pages that mislead, and time: the switches of a server, over real sockets."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

from logminer.simulator import Behaviour, Company, Faults, Server, serve
from logminer.simulator.api import Api
from logminer.simulator.requests import KINDS

if TYPE_CHECKING:
    from logminer.simulator.behaviour import LimitHeaders

Get = Callable[..., Any]
Pages = Callable[[Server, str], list[Any]]

_VERSION = "/api/v4/version"
_KEYSET = "pagination=keyset&order_by=id&sort=desc&per_page=10"


@pytest.fixture
def path(small: Company) -> str:
    """The path of the project with the most jobs."""
    readable = [each for each in small.projects if each.ci_enabled and not each.jobs_forbidden]
    busiest = max(readable, key=lambda project: len(small.jobs_of(project.id)))
    return f"/api/v4/projects/{busiest.id}"


# -- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "normal", "throttled"),
    [
        ("honest", "0", "0"),
        ("on_429", None, "0"),
        ("absent", None, None),
        ("plenty", "1000000", "1000000"),
        ("nothing_left", "0", "0"),
    ],
)
def test_what_headers_say(
    small: Company, get: Get, said: LimitHeaders, normal: str | None, throttled: str | None
) -> None:
    """`RateLimit-*` may be true, absent, or a lie; the limit itself is the same."""
    behaviour = Behaviour(requests_per_minute=1, limit_headers=said)
    with serve(small, behaviour=behaviour) as server:
        first, second = (get(server, _VERSION) for _ in range(2))

    assert (first.status, second.status) == (200, 429)
    assert first.headers["RateLimit-Remaining"] == normal
    assert second.headers["RateLimit-Remaining"] == throttled


def test_how_long_to_wait(small: Company, get: Get) -> None:
    """`Retry-After` is a number of seconds, or a date, or not there."""
    behaviour = Behaviour(requests_per_minute=0)
    with serve(small, behaviour=behaviour) as server:
        seconds = get(server, _VERSION).headers["Retry-After"]
        server.behaviour = replace(behaviour, retry_after="date")
        date = parsedate_to_datetime(get(server, _VERSION).headers["Retry-After"])
        server.behaviour = replace(behaviour, retry_after="absent")
        absent = get(server, _VERSION).headers["Retry-After"]

    assert 0 < int(seconds) <= 61
    assert dt.timedelta(0) < date - small.now <= dt.timedelta(seconds=61)
    assert absent is None


def test_who_says_429(small: Company, get: Get) -> None:
    """A 429 may be text, JSON, or a proxy's page, which knows nothing of GitLab's limits."""
    behaviour = Behaviour(requests_per_minute=0)
    with serve(small, behaviour=behaviour) as server:
        text = get(server, _VERSION)
        server.behaviour = replace(behaviour, throttle_body="json")
        as_json = get(server, _VERSION)
        server.behaviour = replace(behaviour, throttle_body="html")
        page = get(server, _VERSION)

    assert [each.status for each in (text, as_json, page)] == [429] * 3
    assert text.body == b"Retry later\n"
    assert as_json.json["message"]["error"].startswith("This endpoint has been requested too many")
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["RateLimit-Limit"] is None


def test_a_short_minute(small: Company, get: Get) -> None:
    """The limit's window can be short, so that a test sees it end."""
    with serve(small, behaviour=Behaviour(requests_per_minute=1, window=0.2)) as server:
        began = time.monotonic()
        statuses: list[int] = []
        while statuses[-2:] != [429, 200] and time.monotonic() - began < 5:
            statuses.append(get(server, _VERSION).status)

    assert statuses[:2] == [200, 429]
    assert statuses[-1] == 200


def test_a_limit_goes_on(small: Company, get: Get) -> None:
    """Another behaviour with the same limits does not forget what was used of them."""
    behaviour = Behaviour(requests_per_minute=1)
    with serve(small, behaviour=behaviour) as server:
        get(server, _VERSION)
        server.behaviour = replace(behaviour, gzip=True)
        kept = get(server, _VERSION).status
        server.behaviour = replace(behaviour, requests_per_minute=2)
        anew = get(server, _VERSION).status

    assert (kept, anew) == (429, 200)


def test_ip_block(small: Company, path: str, get: Get) -> None:
    """From one request on everything is 403, for a while."""
    with serve(small, behaviour=Behaviour(blocked_from=1, blocked_for=2)) as server:
        answers = [get(server, each) for each in (_VERSION, _VERSION, f"{path}/jobs", _VERSION)]

    assert [each.status for each in answers] == [200, 403, 403, 200]
    assert answers[1].body == answers[2].body == b"Forbidden\n"


def test_revoked_token(small: Company, get: Get) -> None:
    """A token may stop to be valid while the server runs."""
    with serve(small) as server:
        server.when("version", 2, lambda: setattr(server, "behaviour", Behaviour(revoked=True)))
        statuses = [get(server, _VERSION).status for _ in range(3)]

    assert statuses == [200, 401, 401]


# -- lists --------------------------------------------------------------------------------------


def _ids(pages: Pages, server: Server, path: str) -> list[int]:
    return [each["id"] for each in pages(server, path)]


@pytest.mark.parametrize("query", [_KEYSET, "per_page=10"])
def test_overlapping_pages(small: Company, path: str, pages: Pages, query: str) -> None:
    """Each page begins with the last three rows of the one before; no row is missing."""
    with serve(small) as server:
        honest = _ids(pages, server, f"{path}/jobs?{query}")
        server.behaviour = Behaviour(pages="overlap")
        found = _ids(pages, server, f"{path}/jobs?{query}")

    assert len(honest) > 13
    assert found[7:10] == found[10:13]
    assert sorted(set(found), reverse=True) == honest
    assert len(found) - len(honest) == 3 * (-(-(len(honest) - 3) // 7) - 1)


def test_rows_shift_while_somebody_pages(small: Company, path: str, pages: Pages) -> None:
    """With offset paging a deletion hides rows from the next page, a new job repeats some."""
    project = int(path.rpartition("/")[2])
    with serve(small) as server:
        every = _ids(pages, server, f"{path}/jobs?per_page=5")
        server.when("jobs", 2, lambda: small.create_pipeline(project))
        repeated = _ids(pages, server, f"{path}/jobs?per_page=5")
        newest = small.pipelines_of(project)[-1].id
        server.when("jobs", 2, lambda: small.delete_pipeline(newest))
        hidden = _ids(pages, server, f"{path}/jobs?per_page=5")

    assert repeated == every[:5] + every[4:]
    assert every[4] not in hidden
    assert hidden[1:] == every[:4] + every[5:]


def test_unknown_kinds_of_requests(small: Company) -> None:
    """A switch for a kind of request that does not exist would never do anything."""
    for name in ("traces", "job_list"):
        with pytest.raises(ValueError, match="no such kind of request"):
            Behaviour(empty=frozenset({name}))
        with pytest.raises(ValueError, match="no such kind of request"):
            Faults(rate=1.0, on=frozenset({name}))
    with serve(small) as server:
        with pytest.raises(ValueError, match="no such kind of request"):
            server.when("traces", 1, lambda: None)
        routes = {
            route.kwargs.get("name") for route in Api(small, server.gate, server.requests).routes()
        }

    assert routes - {None} == KINDS


@pytest.mark.parametrize("query", [_KEYSET, "per_page=10"])
def test_endless_pages(small: Company, path: str, get: Get, query: str) -> None:
    """The last page comes again and again, each time with another address for the next."""
    following, seen = f"{path}/jobs?{query}", []
    with serve(small, behaviour=Behaviour(pages="endless")) as server:
        for _ in range(30):
            answer = get(server, following)
            following = answer.next
            seen.append((following, [job["id"] for job in answer.json]))

    assert len({address for address, _ in seen}) == 30
    assert seen[-1][1] == seen[-2][1] != []


@pytest.mark.parametrize("query", [_KEYSET, "per_page=10"])
def test_pages_in_a_circle(small: Company, path: str, get: Get, query: str) -> None:
    """After the last page comes the first."""
    following, firsts = f"{path}/jobs?{query}", []
    with serve(small, behaviour=Behaviour(pages="loop")) as server:
        for _ in range(30):
            answer = get(server, following)
            following = answer.next
            firsts.append(answer.json[0]["id"])

    assert len(set(firsts)) < 10
    assert firsts.count(firsts[0]) > 2


def test_depth_of_offset_paging(small: Company, path: str, get: Get) -> None:
    """Offset paging ends at a depth, keyset paging does not."""
    with serve(small, behaviour=Behaviour(offset_cap=20)) as server:
        last = get(server, f"{path}/jobs?page=2&per_page=10")
        deeper = get(server, f"{path}/jobs?page=3&per_page=10")
        keyset = get(server, f"{path}/jobs?{_KEYSET}&per_page=21")
        projects = get(server, "/api/v4/projects?page=5&per_page=5")

    assert (last.status, deeper.status, keyset.status) == (200, 405, 200)
    assert deeper.json == {
        "error": "Offset pagination has a maximum allowed offset of 20 for requests that return "
        "objects of type Ci::Build. Remaining records can be retrieved using keyset pagination."
    }
    assert "objects of type Project." in projects.json["error"]


def test_short_pages(small: Company, path: str, get: Get, pages: Pages) -> None:
    """However many rows are asked for, there are few on a page; the pages lead to all the same."""
    with serve(small) as server:
        lists = [f"{path}/jobs?{_KEYSET}", f"{path}/pipelines?per_page=100"]
        whole = [pages(server, each) for each in lists]
        server.behaviour = Behaviour(largest_page=3)
        short = [pages(server, each) for each in lists]
        first = [get(server, each).json for each in lists]

    assert short == whole
    assert [len(each) for each in first] == [3, 3]


def test_empty_night(small: Company, path: str, get: Get) -> None:
    """Lists may be empty although there is something; the rest of the server is well."""
    with serve(small, behaviour=Behaviour(empty=frozenset({"jobs", "trace"}))) as server:
        jobs = get(server, f"{path}/jobs")
        unknown = get(server, "/api/v4/projects/1/jobs")
        pipelines = get(server, f"{path}/pipelines")

    assert (jobs.status, jobs.json) == (200, [])
    assert unknown.status == 404
    assert pipelines.json


# -- traces -------------------------------------------------------------------------------------


@pytest.fixture
def trace(small: Company) -> tuple[str, bytes]:
    """The path and the bytes of an archived log."""
    job = next(
        job for job in small.jobs
        if job.log == "ok" and job.ran and (job.archived or 0) < small.now_ms
        and not job.project.jobs_forbidden and len(small.trace(job.id)) > 1000
    )  # fmt: skip
    return f"/api/v4/projects/{job.project.id}/jobs/{job.id}/trace", small.trace(job.id)


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=900-", slice(900, None)),
        ("bytes=-50", slice(-50, None)),
    ],
)
def test_ranges(
    small: Company, trace: tuple[str, bytes], get: Get, wanted: str, part: slice
) -> None:
    """Where `Range` is honoured, a part of an archived log comes; elsewhere the whole."""
    path, whole = trace
    with serve(small, behaviour=Behaviour(ranges=True)) as server:
        answer = get(server, path, {"Range": wanted})
        server.behaviour = Behaviour()
        ignored = get(server, path, {"Range": wanted})
    start, stop, _ = part.indices(len(whole))

    assert (answer.status, answer.body) == (206, whole[part])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
    assert answer.headers["ETag"]
    assert (ignored.status, ignored.body) == (200, whole)


@pytest.mark.parametrize("wanted", [None, "bytes=0-1,4-5", "lines=1-2", "bytes=-"])
def test_whole_where_no_range_is_understood(
    small: Company, trace: tuple[str, bytes], get: Get, wanted: str | None
) -> None:
    """Several ranges, other units and nonsense get the whole."""
    path, whole = trace
    with serve(small, behaviour=Behaviour(ranges=True)) as server:
        answer = get(server, path, {"Range": wanted} if wanted else {})

    assert (answer.status, answer.body) == (200, whole)
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_range_beyond_the_end(small: Company, trace: tuple[str, bytes], get: Get) -> None:
    """Where nothing lies, the answer is 416 and says how much there is."""
    path, whole = trace
    with serve(small, behaviour=Behaviour(ranges=True)) as server:
        answer = get(server, path, {"Range": f"bytes={len(whole)}-"})

    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{len(whole)}"


def test_length_not_told(small: Company, trace: tuple[str, bytes], get: Get) -> None:
    """Traces may come in chunks, compressed or not; short answers are not compressed."""
    path, whole = trace
    with serve(small, behaviour=Behaviour(chunked=True)) as server:
        plain = get(server, path, {"Accept-Encoding": "gzip"})
        server.behaviour = Behaviour(gzip=True)
        packed = get(server, path, {"Accept-Encoding": "gzip"})
        short = get(server, _VERSION, {"Accept-Encoding": "gzip"})

    assert plain.headers["Transfer-Encoding"] == packed.headers["Transfer-Encoding"] == "chunked"
    assert plain.headers["Content-Length"] is packed.headers["Content-Length"] is None
    assert plain.body == gzip.decompress(packed.body) == whole
    assert short.headers["Content-Encoding"] is None


def test_a_trace_that_grows(small: Company, get: Get) -> None:
    """A log may go on growing after the job has ended, until it is archived and its size told."""
    job = small.create_pipeline(small.projects[0].id, seconds=60).jobs[0]
    path = f"/api/v4/projects/{job.project.id}/jobs/{job.id}"
    sizes, listed = [], []
    with serve(small, behaviour=Behaviour(growing=True)) as server:
        for seconds in (63, 60, 60, 600, 600):
            server.live(seconds)
            sizes.append(len(get(server, f"{path}/trace").body))
            listed.append([each["size"] for each in get(server, path).json["artifacts"]])
        server.behaviour = Behaviour(archives=False)
        unarchived = get(server, path).json["artifacts"]

    assert sizes[0] < sizes[1] <= sizes[2] <= sizes[3] == sizes[4] == len(small.trace(job.id))
    assert listed[0] == []
    assert listed[-1][-1] == sizes[-1]
    assert [each for each in unarchived if each["file_type"] == "trace"] == []


# -- time ---------------------------------------------------------------------------------------


def test_clock_skew(small: Company, get: Get) -> None:
    """The `Date` header may be wrong."""
    with serve(small, behaviour=Behaviour(clock_skew=-3600.0)) as server:
        date = parsedate_to_datetime(get(server, _VERSION).headers["Date"])

    assert date == small.now - dt.timedelta(hours=1)


def test_life_goes_on_with_requests(small: Company, get: Get) -> None:
    """The company may live on with every request, so that jobs change while they are listed."""
    began = small.now
    with serve(small, behaviour=Behaviour(seconds_per_request=2.5)) as server:
        for _ in range(4):
            get(server, _VERSION)

    assert small.now - began == dt.timedelta(seconds=10)


def test_appointments(small: Company, get: Get) -> None:
    """Something may happen just before a certain request of a kind, or of any, is answered."""
    happened: list[tuple[str, int]] = []
    with serve(small) as server:
        server.when("user", 2, lambda: happened.append(("user", server.requests.total)))
        server.when("", 3, lambda: happened.append(("any", server.requests.total)))
        for path in ("user", "version", "version", "user", "user"):
            get(server, f"/api/v4/{path}")

    assert happened == [("any", 2), ("user", 3)]


def test_asked_by_another_process(small: Company, get: Get) -> None:
    """The server tells its counts under a path of its own, uncounted and without a token."""
    with serve(small) as server:
        get(server, _VERSION)
        get(server, "/api/v4/nothing")
        found = get(server, "/-/simulator/requests", {"PRIVATE-TOKEN": ""}).json

    assert found == {
        "total": 2,
        "counts": {"version": 1, "unknown": 1},
        "faults": {},
        "statuses": {"200": 1, "404": 1},
    }
    assert json.dumps(server.requests.summary()) == json.dumps(found)
