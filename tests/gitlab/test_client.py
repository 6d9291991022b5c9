"""The client over a real socket: retries, limits, redirects, pages and traces."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import gzip
import json
import logging
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import pytest

from logminer import __version__
from logminer.errors import (
    AuthorisationError,
    ConnectionFailedError,
    ForbiddenError,
    LogminerError,
    NotFoundError,
    NotGitLabError,
    RateLimitedError,
    ServerError,
    UnavailableError,
    UnexpectedAnswerError,
)
from logminer.gitlab import Client, Kind, Pacer, RetryPolicy
from logminer.model import Job, Project

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.gitlab.settings import Settings

Answer = tuple[int, dict[str, str], bytes]
Answers = dict[str, list[Answer]]
Asked = list[tuple[str, dict[str, str]]]
T = TypeVar("T")

API = "/api/v4"
JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain"}
GONE: Answer = (404, JSON, b'{"message":"404 Not Found"}')
PROJECT = Project(id=5, path="g/p")
TRACE = f"{API}/projects/5/jobs/12/trace"
SINCE = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
UNTIL = dt.datetime(2026, 9, 2, tzinfo=dt.UTC)
# Not every byte the same, and longer than any chunk.
LOG = b"".join(b"line %d\r\n" % number for number in range(40_000))


def row(number: int, **extra: object) -> dict[str, Any]:
    """Return a job's JSON."""
    return {
        "id": number,
        "name": f"job {number}",
        "stage": "test",
        "status": "success",
        "created_at": "2026-09-01T10:00:00.000Z",
        "pipeline": {"id": 77},
    } | extra


def ok(data: object, **headers: str) -> Answer:
    """Return an answer of 200."""
    return 200, JSON | headers, json.dumps(data).encode()


class TestTrace:
    """`read_trace`."""

    def test_streamed(
        self,
        read: Callable[..., Any],
        settings: Settings,
        answers: Answers,
        asked: Asked,
    ) -> None:
        """A trace comes in bounded chunks that are never empty and together are every byte."""
        answers[TRACE] = [(200, TEXT, LOG)]

        found = read().sink

        assert b"".join(found.chunks) == LOG
        assert all(0 < len(chunk) < 2**20 for chunk in found.chunks)
        assert asked[0][1]["private-token"] == settings.token
        assert asked[0][1]["user-agent"] == f"logminer/{__version__}"
        assert asked[0][1]["accept-encoding"] == "gzip"

    def test_gzip(
        self, run: Callable[..., Any], sink: type[Any], job: Job, answers: Answers
    ) -> None:
        """A compressed trace is unfolded; counted is what came over the wire."""
        body = gzip.compress(LOG)
        answers[TRACE] = [(200, TEXT | {"content-encoding": "gzip"}, body)]

        async def use(client: Client) -> tuple[Any, int]:
            return (await client.read_trace(job, sink)).sink, client.counts.received

        found, received = run(use)

        assert b"".join(found.chunks) == LOG
        assert received == len(body)

    def test_empty(self, read: Callable[..., Any], answers: Answers) -> None:
        """A trace without a byte is an empty trace."""
        answers[TRACE] = [(200, TEXT, b"")]

        assert read().sink.chunks == []

    @pytest.mark.parametrize(
        "broken",
        [
            (200, TEXT | {"x-cut": "100000"}, LOG),
            (200, TEXT | {"content-encoding": "gzip"}, gzip.compress(LOG)[:-9]),
            (200, TEXT | {"content-encoding": "br"}, b"x"),
            (200, TEXT | {"content-encoding": "gzip"}, b"not gzip"),
        ],
    )
    def test_broken_off(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        run: Callable[..., Any],
        sleeps: list[float],
        sink: type[Any],
        job: Job,
        answers: Answers,
        broken: Answer,
    ) -> None:
        """A body that breaks off is read again from its start, into a new sink."""
        answers[TRACE] = [broken, broken, (200, TEXT, LOG)]
        sinks: list[Any] = []

        def start() -> Any:  # noqa: ANN401 -- a sink
            sinks.append(sink())
            return sinks[-1]

        found = run(lambda client: client.read_trace(job, start)).sink

        assert found is sinks[-1]
        assert len(sinks) == 3
        assert b"".join(found.chunks) == LOG
        assert sleeps == [0.5, 1.0]

    def test_sink_errors_are_not_the_server_s(
        self,
        run: Callable[..., Any],
        sleeps: list[float],
        sink: type[Any],
        job: Job,
        answers: Answers,
    ) -> None:
        """What a sink raises comes out as it is, at once, even where it looks like the network."""
        answers[TRACE] = [(200, TEXT, LOG)]

        class Full(sink):  # type: ignore[misc]  # a class that a fixture gives
            def feed(self, data: bytes, /) -> None:
                super().feed(data)
                raise TimeoutError("the disk is slow")

        with pytest.raises(TimeoutError, match="the disk is slow"):
            run(lambda client: client.read_trace(job, Full))

        assert sleeps == []

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (GONE, NotFoundError),
            ((403, JSON, b'{"message":"403 Forbidden"}'), ForbiddenError),
            ((401, JSON, b'{"message":"401 Unauthorized"}'), AuthorisationError),
            ((200, {"content-type": "text/html"}, b"<html>"), NotGitLabError),
            ((418, {}, b""), UnexpectedAnswerError),
            ((403, JSON | {"x-cut": "2"}, b'{"message":"403 Forbidden"}'), ForbiddenError),
        ],
    )
    def test_errors(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        read: Callable[..., Any],
        sleeps: list[float],
        settings: Settings,
        answers: Answers,
        answer: Answer,
        error: type[LogminerError],
    ) -> None:
        """Each refusal is its own error, said once, without the token."""
        answers[TRACE] = [answer]
        answers[f"{API}/version"] = [ok({"version": "17.4.1"})]

        with pytest.raises(error) as caught:
            read()

        assert sleeps == []
        assert settings.token not in f"{caught.value!s} {caught.value!r}"


class TestRetry:
    """The one retry loop."""

    def test_then_success(
        self, run: Callable[..., Any], sleeps: list[float], answers: Answers, asked: Asked
    ) -> None:
        """Passing failures are waited out with backoff, and counted."""
        answers[f"{API}/projects/5/jobs/12"] = [(500, {}, b""), (502, {}, b""), ok(row(12))]

        async def use(client: Client) -> tuple[Job, int, int]:
            found = await client.job(PROJECT, 12)
            return found, client.counts.retries, client.counts.requests[Kind.JOB]

        found, retries, requests = run(use)

        assert (found.id, retries, requests, len(asked)) == (12, 2, 3, 3)
        assert sleeps == [0.5, 1.0]

    @pytest.mark.parametrize(
        ("headers", "wait"),
        [
            ({"retry-after": "17"}, 17.0),
            (
                {
                    "retry-after": "Mon, 14 Sep 2026 02:00:40 GMT",
                    "date": "Mon, 14 Sep 2026 02:00:00 GMT",
                },
                40.0,
            ),
            ({}, 60.0),
        ],
    )
    def test_retry_after(
        self,
        run: Callable[..., Any],
        sleeps: list[float],
        answers: Answers,
        headers: dict[str, str],
        wait: float,
    ) -> None:
        """A 429 is waited out as long as the server says, in seconds, as a date or not at all."""
        answers[f"{API}/projects/5/jobs/12"] = [(429, headers, b"Retry later"), ok(row(12))]

        run(lambda client: client.job(PROJECT, 12))

        assert sum(sleeps) == wait

    def test_listing_limit_holds_listings_only(
        self,
        run: Callable[..., Any],
        sleeps: list[float],
        sink: type[Any],
        job: Job,
        answers: Answers,
    ) -> None:
        """The jobs list has a limit of its own: a 429 from it does not stop the traces."""
        listing = f"{API}/projects/5/jobs"
        answers[listing] = [(429, JSON | {"retry-after": "60"}, b"{}")]
        answers[TRACE] = [(200, TEXT, b"x")]

        async def use(client: Client) -> list[float]:
            with pytest.raises(RateLimitedError):
                await client.jobs_page(PROJECT)
            sleeps.clear()
            await client.read_trace(job, sink)
            return list(sleeps)

        assert run(use) == []

    def test_announced_limit_is_kept(
        self,
        run: Callable[..., Any],
        sleeps: list[float],
        sink: type[Any],
        job: Job,
        answers: Answers,
    ) -> None:
        """With nothing left in the window, the next request waits for its end."""
        limit = {
            "ratelimit-remaining": "0",
            "ratelimit-reset": "1789351245",
            "date": "Mon, 14 Sep 2026 02:00:00 GMT",
        }
        answers[TRACE] = [(200, TEXT | limit, b"x")]

        async def use(client: Client) -> None:
            await client.read_trace(job, sink)
            await client.read_trace(job, sink)

        run(use)

        assert sleeps == [45.0]

    def test_own_ceiling(
        self,
        run: Callable[..., Any],
        sleeps: list[float],
        sink: type[Any],
        job: Job,
        answers: Answers,
    ) -> None:
        """Our own ceiling spaces the requests."""
        answers[TRACE] = [(200, TEXT, b"x")]

        async def use(client: Client) -> None:
            for _ in range(3):
                await client.read_trace(job, sink)

        run(use, pacer=Pacer(rps=0.5))

        assert sleeps == [2.0, 2.0]

    def test_gives_up(self, read: Callable[..., Any], answers: Answers, asked: Asked) -> None:
        """After the last try its error comes out, with what was asked."""
        answers[TRACE] = [(503, {}, b"")]

        with pytest.raises(UnavailableError, match=r"GET /projects/5/jobs/12/trace.*503"):
            read()

        assert len(asked) == RetryPolicy().attempts

    def test_unreachable(
        self, run: Callable[..., Any], sleeps: list[float], settings: Settings
    ) -> None:
        """A port where nobody listens is tried again, and then says so."""
        nowhere = dataclasses.replace(settings, url="http://127.0.0.1:1")

        with pytest.raises(ConnectionFailedError, match="Connect call failed"):
            run(lambda client: client.job(PROJECT, 12), at=nowhere)

        assert sleeps == [0.5, 1.0, 2.0, 4.0, 8.0]

    @pytest.mark.parametrize(("silence", "whole"), [(0.05, 60.0), (60.0, 0.05)])
    def test_silent_server(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, silence: float, whole: float
    ) -> None:
        """A server that says nothing, or too little for too long, is a failed connection."""
        monkeypatch.setattr("logminer.gitlab.wire.ANSWER_SECONDS", whole)
        monkeypatch.setattr("logminer.gitlab.patience._LOOK", 0.05)
        slow = dataclasses.replace(settings, timeout=silence)

        with pytest.raises(ConnectionFailedError):
            asyncio.run(_asked_of(slow, b"", stays=True))

    @pytest.mark.parametrize(("silence", "whole"), [(0.1, 60.0), (60.0, 0.05)])
    def test_an_error_that_does_not_end(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, silence: float, whole: float
    ) -> None:
        """The status alone is an answer, however long its body is waited for, and not for long."""
        monkeypatch.setattr("logminer.gitlab.wire.ANSWER_SECONDS", whole)
        monkeypatch.setattr("logminer.gitlab.wire.REFUSAL_SECONDS", 0.2)
        monkeypatch.setattr("logminer.gitlab.patience._LOOK", 0.05)
        slow = dataclasses.replace(settings, timeout=silence)
        beginning = b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n{"

        with pytest.raises(NotFoundError):
            asyncio.run(_asked_of(slow, beginning, stays=True))

    @pytest.mark.parametrize("noise", [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b""])
    def test_noise(self, settings: Settings, noise: bytes) -> None:
        """Bytes that are no HTTP are a failed connection."""
        with pytest.raises(ConnectionFailedError):
            asyncio.run(_asked_of(settings, noise, stays=False))


async def _asked_of(settings: Settings, says: bytes, *, stays: bool) -> None:
    """Ask once for a job, of a server that says so much and then hangs up, or stays silent."""
    hold = asyncio.Event()

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        if stays:
            await hold.wait()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    at = dataclasses.replace(settings, url=f"http://127.0.0.1:{port}")
    try:
        async with Client(at, policy=RetryPolicy(attempts=1)) as client:
            await client.job(PROJECT, 12)
    finally:
        hold.set()
        server.close()
        await server.wait_closed()


class TestPages:
    """Pages for people, where an answer should be."""

    def test_a_page_while_the_server_restarts(
        self, run: Callable[..., Any], answers: Answers
    ) -> None:
        """Once the server has shown that it is GitLab, a page of a proxy passes like a 502."""
        page = (200, {"content-type": "text/html"}, b"<html>Back soon")
        answers[f"{API}/projects/5/jobs/12"] = [ok(row(12)), page, (200, {}, b"soon"), ok(row(12))]

        async def use(client: Client) -> int:
            await client.job(PROJECT, 12)
            await client.job(PROJECT, 12)
            return client.counts.retries

        assert run(use) == 2

    def test_an_object_where_a_list_should_be(
        self, run: Callable[..., Any], sleeps: list[float], answers: Answers
    ) -> None:
        """JSON of another shape comes of no restart: it ends the run, at once."""
        answers[f"{API}/projects/5/jobs/12"] = [ok(row(12))]
        answers[f"{API}/projects/5/jobs"] = [ok({"message": "hello"})]

        async def use(client: Client) -> None:
            await client.job(PROJECT, 12)
            await client.jobs_page(PROJECT)

        with pytest.raises(NotGitLabError, match="the answer is no list"):
            run(use)

        assert sleeps == []


class TestRedirect:
    """Redirects are followed by hand, and never off the origin."""

    def test_within(
        self,
        read: Callable[..., Any],
        settings: Settings,
        answers: Answers,
        asked: Asked,
    ) -> None:
        """On the same origin a redirect is followed, with the token."""
        answers[TRACE] = [(301, {"location": f"{API}/moved"}, b"This has moved")]
        answers[f"{API}/moved"] = [(200, TEXT, b"x")]

        found = read().sink

        assert found.chunks == [b"x"]
        assert [headers.get("private-token") for _, headers in asked] == [settings.token] * 2

    def test_elsewhere(
        self, read: Callable[..., Any], answers: Answers, elsewhere: tuple[str, Asked]
    ) -> None:
        """To another origin not even a request goes, and the error names it without its query."""
        url, asked_elsewhere = elsewhere
        answers[TRACE] = [(302, {"location": f"{url}/bucket?signature=abc"}, b"")]

        with pytest.raises(UnexpectedAnswerError, match="another origin") as caught:
            read()

        assert asked_elsewhere == []
        assert url in str(caught.value)
        assert "signature" not in str(caught.value)

    def test_circle(self, read: Callable[..., Any], answers: Answers, asked: Asked) -> None:
        """A circle ends."""
        answers[TRACE] = [(302, {"location": TRACE}, b"")]

        with pytest.raises(UnexpectedAnswerError, match="3 redirects"):
            read()

        assert len(asked) == 4

    def test_login_page(self, run: Callable[..., Any], answers: Answers) -> None:
        """A redirect that ends at a page for people is no API."""
        answers[f"{API}/version"] = [(302, {"location": "/users/sign_in"}, b"")]
        answers["/users/sign_in"] = [(200, {"content-type": "text/html"}, b"<html>")]

        with pytest.raises(NotGitLabError):
            run(lambda client: client.version())


class TestLists:
    """Jobs, pipelines and their jobs."""

    def test_keyset(self, run: Callable[..., Any], answers: Answers, asked: Asked) -> None:
        """Pages follow the cursor of the link, whatever host it names."""
        path = f"{API}/projects/5/jobs"
        link = f'<https://wrong.example{path}?cursor=eyJpZCI6IjgifQ%3D%3D>; rel="next"'
        first = ok([row(9), row(8)], link=link, date="Mon, 14 Sep 2026 02:00:00 GMT")
        answers[path] = [first, ok([row(7), {"id": 6}])]

        async def use(client: Client) -> tuple[Any, Any, int]:
            one = await client.jobs_page(PROJECT)
            two = await client.jobs_page(PROJECT, cursor=one.next_cursor)
            return one, two, client.counts.skipped_jobs

        one, two, skipped = run(use)

        assert [found.id for found in one.jobs + two.jobs] == [9, 8, 7]
        assert one.next_cursor == "keyset:8:eyJpZCI6IjgifQ=="
        assert one.server_time == dt.datetime(2026, 9, 14, 2, tzinfo=dt.UTC)
        assert two.next_cursor is None
        assert ([bad.id for bad in two.skipped], skipped) == ([6], 1)
        assert asked[0][0] == f"{path}?pagination=keyset&order_by=id&sort=desc&per_page=100"
        assert asked[1][0].endswith("&per_page=100&cursor=eyJpZCI6IjgifQ%3D%3D")

    def test_large_answer(self, run: Callable[..., Any], answers: Answers) -> None:
        """Kilobytes that unfold to more than 8 MiB are refused."""
        bomb = gzip.compress(b"[" + b" " * (9 * 2**20) + b"]")
        answers[f"{API}/projects/5/jobs"] = [(200, JSON | {"content-encoding": "gzip"}, bomb)]

        with pytest.raises(UnexpectedAnswerError, match="8 MiB"):
            run(lambda client: client.jobs_page(PROJECT))

    def test_changed_pipelines(
        self, run: Callable[..., Any], settings: Settings, answers: Answers, asked: Asked
    ) -> None:
        """Both kinds come, each once; a page begins where the last ended, in time."""
        path = f"{API}/projects/5/pipelines"
        more = {"link": f'<{settings.url}{path}?page=2>; rel="next"'}
        one, two = "2026-09-01T10:00:00.000Z", "2026-09-01T11:00:00.000Z"
        answers[path] = [
            ok([{"id": 3, "updated_at": one}, {"id": 1, "updated_at": two}], **more),
            ok([{"id": 1, "updated_at": two}, {"id": 2, "updated_at": two}], **more),
            ok([{"id": 4, "updated_at": two}]),
            ok([{"id": 8, "updated_at": one}]),
        ]

        async def use(client: Client) -> list[int]:
            found = client.changed_pipelines(5, since=SINCE, until=UNTIL, children=True)
            return [pipeline.id async for pipeline in found]

        ids = run(use)

        assert ids == [3, 1, 2, 4, 8]
        queries = [unquote(path.partition("?")[2]) for path, _ in asked]
        assert [("source=parent_pipeline" in query) for query in queries] == [False] * 3 + [True]
        assert "updated_after=2026-09-01T00:00:00Z" in queries[0]
        assert "updated_before=2026-09-02T00:00:00Z" in queries[0]
        assert "updated_after=2026-09-01T10:59:59.999000Z" in queries[1]
        assert [query.partition("&page=")[2][0] for query in queries] == ["1", "1", "2", "1"]

    def test_children_only_when_asked(
        self, run: Callable[..., Any], answers: Answers, asked: Asked
    ) -> None:
        """Child pipelines cost a request only where somebody waits for one."""
        answers[f"{API}/projects/5/pipelines"] = [ok([{"id": 3, "updated_at": None}])]

        async def use(client: Client) -> list[int]:
            found = client.changed_pipelines(5, since=SINCE, until=UNTIL)
            return [pipeline.id async for pipeline in found]

        assert run(use) == [3]
        assert len(asked) == 1

    def test_server_without_children(
        self, run: Callable[..., Any], answers: Answers, asked: Asked
    ) -> None:
        """A server older than 17.0 refuses the list of child pipelines; it is asked for it once."""
        path = f"{API}/projects/5/pipelines"
        refused = (400, JSON, b'{"error":"source does not have a valid value"}')
        answers[path] = [ok([{"id": 3}]), refused, ok([{"id": 4}])]

        async def use(client: Client) -> list[int | bool]:
            found: list[int | bool] = [client.children_listed]
            for _ in range(2):
                changed = client.changed_pipelines(5, since=SINCE, until=UNTIL, children=True)
                found += [pipeline.id async for pipeline in changed]
            return [*found, client.children_listed]

        assert run(use) == [True, 3, 4, False]
        assert ["source=" in path for path, _ in asked] == [False, True, False]

    @pytest.mark.parametrize("what", ["pipelines", "pipelines/77/jobs"])
    def test_pages_without_end(
        self,
        run: Callable[..., Any],
        answers: Answers,
        what: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A list that always has a next page comes to an end."""
        monkeypatch.setattr("logminer.gitlab.client.MAX_PAGES", 5)
        path = f"{API}/projects/5/{what}"
        answers[path] = [ok([row(3)], link=f'<{path}?page=2>; rel="next"')]

        async def use(client: Client) -> list[object]:
            if what == "pipelines":
                changed = client.changed_pipelines(5, since=SINCE, until=UNTIL)
                return [found async for found in changed]
            return [found async for found in client.pipeline_jobs(PROJECT, 77)]

        with pytest.raises(UnexpectedAnswerError, match="more than 5 pages"):
            run(use)

    def test_deleted_pipeline(self, run: Callable[..., Any]) -> None:
        """The jobs of a pipeline that is gone are not none: it is said that it is gone."""

        async def use(client: Client) -> list[Job]:
            return [found async for found in client.pipeline_jobs(PROJECT, 77)]

        with pytest.raises(NotFoundError):
            run(use)

    def test_pipeline_jobs(
        self, run: Callable[..., Any], settings: Settings, answers: Answers, asked: Asked
    ) -> None:
        """Retried jobs are asked for, and one that comes twice is given once."""
        path = f"{API}/projects/5/pipelines/77/jobs"
        more = {"link": f'<{settings.url}{path}?page=2>; rel="next"'}
        answers[path] = [ok([row(3), row(2)], **more), ok([row(2), row(1)])]

        async def use(client: Client) -> list[int]:
            return [found.id async for found in client.pipeline_jobs(PROJECT, 77)]

        assert run(use) == [3, 2, 1]
        assert "include_retried=true" in asked[0][0]

    def test_empty_page_with_a_next(self, run: Callable[..., Any], answers: Answers) -> None:
        """A list of empty pages ends."""
        path = f"{API}/projects/5/pipelines/77/jobs"
        answers[path] = [ok([], link=f'<{path}?page=2>; rel="next"')]

        async def use(client: Client) -> list[Job]:
            return [found async for found in client.pipeline_jobs(PROJECT, 77)]

        with pytest.raises(UnexpectedAnswerError, match="empty page"):
            run(use)


class TestProxy:
    """The proxies of the environment."""

    def test_used(
        self,
        run: Callable[..., Any],
        settings: Settings,
        answers: Answers,
        asked: Asked,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A request for another host goes through the proxy, asked for by its whole URL."""
        monkeypatch.setenv("http_proxy", settings.url)
        monkeypatch.setenv("no_proxy", "")
        answers[f"{API}/version"] = [ok({"version": "17.4.1"})]
        behind = dataclasses.replace(settings, url="http://gitlab.invalid")

        assert run(lambda client: client.version(), at=behind) == "17.4.1"
        assert asked[0][1]["host"] == "gitlab.invalid"

    def test_bypassed(
        self, run: Callable[..., Any], answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A host that the environment exempts is asked directly."""
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        answers[f"{API}/version"] = [ok({"version": "17.4.1"})]

        assert run(lambda client: client.version()) == "17.4.1"


class TestVersion:
    """`version`, the probe."""

    def test_version(self, run: Callable[..., Any], answers: Answers) -> None:
        """A GitLab that takes the token says its version."""
        answers[f"{API}/version"] = [ok({"version": "17.4.1-ee"})]

        assert run(lambda client: client.version()) == "17.4.1-ee"

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ((401, JSON, b"{}"), AuthorisationError),
            ((403, JSON, b"{}"), AuthorisationError),
            (GONE, NotGitLabError),
            (ok({"hello": "world"}), NotGitLabError),
            ((418, {}, b""), NotGitLabError),
            ((503, {}, b""), ServerError),
            ((200, JSON, b"{"), ServerError),
        ],
    )
    def test_every_failure_ends_the_run(
        self, run: Callable[..., Any], answers: Answers, answer: Answer, error: type[LogminerError]
    ) -> None:
        """Whatever the probe meets is fatal, and says what."""
        answers[f"{API}/version"] = [answer]

        with pytest.raises(error):
            run(lambda client: client.version())

    def test_needs_to_be_open(self, settings: Settings) -> None:
        """Without `async with` there is no client."""
        with pytest.raises(RuntimeError, match="async with"):
            asyncio.run(Client(settings).version())


class TestToken:
    """The token is nowhere to be read."""

    def test_not_in_text(
        self,
        run: Callable[..., Any],
        settings: Settings,
        answers: Answers,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Neither the client, its counts nor anything logged shows it."""
        answers[f"{API}/projects/5/jobs"] = [ok([{"id": 6}, row(5)])]
        with caplog.at_level(logging.DEBUG):

            async def use(client: Client) -> str:
                page = await client.jobs_page(PROJECT)
                return f"{client!r} {client.counts!r} {page!r}"

            shown = run(use)

        assert settings.token not in shown + caplog.text + repr(settings)
        assert "job 6" in caplog.text
