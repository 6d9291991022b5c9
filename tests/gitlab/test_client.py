"""The client over a real socket: retries, limits, redirects, pages and traces."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import gzip
import json
import logging
from typing import TYPE_CHECKING, Any, TypeVar

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
    from collections.abc import Awaitable, Callable

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


class Sink:
    """Keep what it is fed."""

    def __init__(self) -> None:
        """Begin empty."""
        self.chunks: list[bytes] = []

    def feed(self, data: bytes, /) -> None:
        """Take a chunk."""
        self.chunks.append(data)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.now = 0.0
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.sleeps.append(seconds)
        self.now += seconds


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


def job() -> Job:
    """Return the job whose trace is at `TRACE`."""
    return Job(
        project_id=5,
        project_path="g/p",
        pipeline_id=77,
        id=12,
        name="n",
        stage="s",
        ref=None,
        ref_is_tag=False,
        status="success",
        failure_reason=None,
        created_at=SINCE,
        started_at=SINCE,
        finished_at=SINCE,
        erased_at=None,
        queued_duration=None,
        duration=None,
        runner_id=None,
        runner_description=None,
        tag_list=(),
        url=None,
        trace_size=None,
    )


def run(
    settings: Settings,
    use: Callable[[Client], Awaitable[T]],
    time: Time | None = None,
    pacer: Pacer | None = None,
) -> T:
    """Run one use of a client whose sleeps take no time."""
    passing = time or Time()

    async def main() -> T:
        async with Client(
            settings,
            pacer=pacer,
            clock=lambda: passing.now,
            sleep=passing.sleep,
            chance=lambda: 0.0,
        ) as client:
            return await use(client)

    return asyncio.run(main())


class TestTrace:
    """`read_trace`."""

    def test_streamed(self, settings: Settings, answers: Answers, asked: Asked) -> None:
        """A trace comes in bounded chunks that are never empty and together are every byte."""
        answers[TRACE] = [(200, TEXT, LOG)]

        sink = run(settings, lambda client: client.read_trace(job(), Sink))

        assert b"".join(sink.chunks) == LOG
        assert all(0 < len(chunk) <= 65_536 for chunk in sink.chunks)
        assert asked[0][1]["private-token"] == settings.token
        assert asked[0][1]["user-agent"] == f"logminer/{__version__}"
        assert asked[0][1]["accept-encoding"] == "gzip"

    def test_gzip(self, settings: Settings, answers: Answers) -> None:
        """A compressed trace is unfolded; counted is what came over the wire."""
        body = gzip.compress(LOG)
        answers[TRACE] = [(200, TEXT | {"content-encoding": "gzip"}, body)]

        async def use(client: Client) -> tuple[Sink, int]:
            return await client.read_trace(job(), Sink), client.counts.received

        sink, received = run(settings, use)

        assert b"".join(sink.chunks) == LOG
        assert received == len(body)

    def test_empty(self, settings: Settings, answers: Answers) -> None:
        """A trace without a byte is an empty trace."""
        answers[TRACE] = [(200, TEXT, b"")]

        assert run(settings, lambda client: client.read_trace(job(), Sink)).chunks == []

    @pytest.mark.parametrize(
        "broken",
        [
            (200, TEXT | {"x-cut": "100000"}, LOG),
            (200, TEXT | {"content-encoding": "gzip"}, gzip.compress(LOG)[:-9]),
            (200, TEXT | {"content-encoding": "br"}, b"x"),
            (200, TEXT | {"content-encoding": "gzip"}, b"not gzip"),
        ],
    )
    def test_broken_off(self, settings: Settings, answers: Answers, broken: Answer) -> None:
        """A body that breaks off is read again from its start, into a new sink."""
        answers[TRACE] = [broken, broken, (200, TEXT, LOG)]
        sinks: list[Sink] = []

        def start() -> Sink:
            sinks.append(Sink())
            return sinks[-1]

        time = Time()
        sink = run(settings, lambda client: client.read_trace(job(), start), time)

        assert sink is sinks[-1]
        assert len(sinks) == 3
        assert b"".join(sink.chunks) == LOG
        assert time.sleeps == [0.5, 1.0]

    def test_sink_errors_are_not_the_server_s(self, settings: Settings, answers: Answers) -> None:
        """What a sink raises comes out as it is, at once, even where it looks like the network."""
        answers[TRACE] = [(200, TEXT, LOG)]

        class Full(Sink):
            def feed(self, data: bytes, /) -> None:
                super().feed(data)
                raise TimeoutError("the disk is slow")

        time = Time()
        with pytest.raises(TimeoutError, match="the disk is slow"):
            run(settings, lambda client: client.read_trace(job(), Full), time)

        assert time.sleeps == []

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
    def test_errors(
        self,
        settings: Settings,
        answers: Answers,
        answer: Answer,
        error: type[LogminerError],
    ) -> None:
        """Each refusal is its own error, said once, without the token."""
        answers[TRACE] = [answer]
        time = Time()

        with pytest.raises(error) as caught:
            run(settings, lambda client: client.read_trace(job(), Sink), time)

        assert time.sleeps == []
        assert settings.token not in f"{caught.value!s} {caught.value!r}"


class TestRetry:
    """The one retry loop."""

    def test_then_success(self, settings: Settings, answers: Answers, asked: Asked) -> None:
        """Passing failures are waited out with backoff, and counted."""
        answers[f"{API}/projects/5/jobs/12"] = [(500, {}, b""), (502, {}, b""), ok(row(12))]
        time = Time()

        async def use(client: Client) -> tuple[Job, int, int]:
            found = await client.job(PROJECT, 12)
            return found, client.counts.retries, client.counts.requests[Kind.JOB]

        found, retries, requests = run(settings, use, time)

        assert (found.id, retries, requests, len(asked)) == (12, 2, 3, 3)
        assert time.sleeps == [0.5, 1.0]

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
        self, settings: Settings, answers: Answers, headers: dict[str, str], wait: float
    ) -> None:
        """A 429 is waited out as long as the server says, in seconds, as a date or not at all."""
        answers[f"{API}/projects/5/jobs/12"] = [(429, headers, b"Retry later"), ok(row(12))]
        time = Time()

        run(settings, lambda client: client.job(PROJECT, 12), time)

        assert sum(time.sleeps) == wait

    def test_listing_limit_holds_listings_only(self, settings: Settings, answers: Answers) -> None:
        """The jobs list has a limit of its own: a 429 from it does not stop the traces."""
        listing = f"{API}/projects/5/jobs"
        answers[listing] = [(429, JSON | {"retry-after": "60"}, b"{}")]
        answers[TRACE] = [(200, TEXT, b"x")]
        time = Time()

        async def use(client: Client) -> list[float]:
            with pytest.raises(RateLimitedError):
                await client.jobs_page(PROJECT)
            time.sleeps.clear()
            await client.read_trace(job(), Sink)
            return list(time.sleeps)

        assert run(settings, use, time) == []

    def test_announced_limit_is_kept(self, settings: Settings, answers: Answers) -> None:
        """With nothing left in the window, the next request waits for its end."""
        limit = {
            "ratelimit-remaining": "0",
            "ratelimit-reset": "1789351245",
            "date": "Mon, 14 Sep 2026 02:00:00 GMT",
        }
        answers[TRACE] = [(200, TEXT | limit, b"x")]
        time = Time()

        async def use(client: Client) -> None:
            await client.read_trace(job(), Sink)
            await client.read_trace(job(), Sink)

        run(settings, use, time)

        assert time.sleeps == [45.0]

    def test_own_ceiling(self, settings: Settings, answers: Answers) -> None:
        """Our own ceiling spaces the requests."""
        answers[TRACE] = [(200, TEXT, b"x")]
        time = Time()

        async def use(client: Client) -> None:
            for _ in range(3):
                await client.read_trace(job(), Sink)

        run(settings, use, time, Pacer(rps=0.5))

        assert time.sleeps == [2.0, 2.0]

    def test_gives_up(self, settings: Settings, answers: Answers, asked: Asked) -> None:
        """After the last try its error comes out, with what was asked."""
        answers[TRACE] = [(503, {}, b"")]

        with pytest.raises(UnavailableError, match=r"GET /projects/5/jobs/12/trace.*503"):
            run(settings, lambda client: client.read_trace(job(), Sink))

        assert len(asked) == RetryPolicy().attempts

    def test_unreachable(self, settings: Settings) -> None:
        """A port where nobody listens is tried again, and then says so."""
        nowhere = dataclasses.replace(settings, url="http://127.0.0.1:1")
        time = Time()

        with pytest.raises(ConnectionFailedError, match="Connect call failed"):
            run(nowhere, lambda client: client.job(PROJECT, 12), time)

        assert time.sleeps == [0.5, 1.0, 2.0, 4.0, 8.0]

    @pytest.mark.parametrize(("silence", "whole"), [(0.05, 5.0), (5.0, 0.05)])
    def test_silent_server(
        self,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        silence: float,
        whole: float,
    ) -> None:
        """A server that says nothing, or too little for too long, is a failed connection."""
        monkeypatch.setattr("logminer.gitlab.client.ANSWER_SECONDS", whole)

        async def use() -> None:
            hold = asyncio.Event()

            async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await hold.wait()
                writer.close()

            server = await asyncio.start_server(mute, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            quick = dataclasses.replace(settings, url=f"http://127.0.0.1:{port}", timeout=silence)
            async with Client(quick, policy=RetryPolicy(attempts=1)) as client:
                with pytest.raises(ConnectionFailedError):
                    await client.job(PROJECT, 12)
            hold.set()
            server.close()
            await server.wait_closed()

        asyncio.run(use())

    @pytest.mark.parametrize("noise", [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b""])
    def test_noise(self, settings: Settings, noise: bytes) -> None:
        """Bytes that are no HTTP are a failed connection."""

        async def use() -> None:
            async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(noise)
                writer.close()

            server = await asyncio.start_server(babble, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            url = f"http://127.0.0.1:{port}"
            async with Client(
                dataclasses.replace(settings, url=url), policy=RetryPolicy(attempts=1)
            ) as client:
                with pytest.raises(ConnectionFailedError):
                    await client.job(PROJECT, 12)
            server.close()
            await server.wait_closed()

        asyncio.run(use())


class TestRedirect:
    """Redirects are followed by hand, and never off the origin."""

    def test_within(self, settings: Settings, answers: Answers, asked: Asked) -> None:
        """On the same origin a redirect is followed, with the token."""
        answers[TRACE] = [(301, {"location": f"{API}/moved"}, b"This has moved")]
        answers[f"{API}/moved"] = [(200, TEXT, b"x")]

        sink = run(settings, lambda client: client.read_trace(job(), Sink))

        assert sink.chunks == [b"x"]
        assert [headers.get("private-token") for _, headers in asked] == [settings.token] * 2

    def test_elsewhere(
        self, settings: Settings, answers: Answers, elsewhere: tuple[str, Asked]
    ) -> None:
        """To another origin not even a request goes, and the error names it without its query."""
        url, asked_elsewhere = elsewhere
        answers[TRACE] = [(302, {"location": f"{url}/bucket?signature=abc"}, b"")]

        with pytest.raises(UnexpectedAnswerError, match="another origin") as caught:
            run(settings, lambda client: client.read_trace(job(), Sink))

        assert asked_elsewhere == []
        assert url in str(caught.value)
        assert "signature" not in str(caught.value)

    def test_circle(self, settings: Settings, answers: Answers, asked: Asked) -> None:
        """A circle ends."""
        answers[TRACE] = [(302, {"location": TRACE}, b"")]

        with pytest.raises(UnexpectedAnswerError, match="3 redirects"):
            run(settings, lambda client: client.read_trace(job(), Sink))

        assert len(asked) == 4

    def test_login_page(self, settings: Settings, answers: Answers) -> None:
        """A redirect that ends at a page for people is no API."""
        answers[f"{API}/version"] = [(302, {"location": "/users/sign_in"}, b"")]
        answers["/users/sign_in"] = [(200, {"content-type": "text/html"}, b"<html>")]

        with pytest.raises(NotGitLabError):
            run(settings, lambda client: client.version())


class TestLists:
    """Jobs, pipelines and their jobs."""

    def test_keyset(self, settings: Settings, answers: Answers, asked: Asked) -> None:
        """Pages follow the cursor of the link, whatever host it names."""
        path = f"{API}/projects/5/jobs"
        link = f'<https://wrong.example{path}?cursor=eyJpZCI6IjgifQ%3D%3D>; rel="next"'
        first = ok([row(9), row(8)], link=link, date="Mon, 14 Sep 2026 02:00:00 GMT")
        answers[path] = [first, ok([row(7), {"id": 6}])]

        async def use(client: Client) -> tuple[Any, Any, int]:
            one = await client.jobs_page(PROJECT, per_page=2)
            two = await client.jobs_page(PROJECT, cursor=one.next_cursor, per_page=2)
            return one, two, client.counts.skipped_jobs

        one, two, skipped = run(settings, use)

        assert [found.id for found in one.jobs + two.jobs] == [9, 8, 7]
        assert one.next_cursor == "eyJpZCI6IjgifQ=="
        assert one.server_time == dt.datetime(2026, 9, 14, 2, tzinfo=dt.UTC)
        assert two.next_cursor is None
        assert ([bad.id for bad in two.skipped], skipped) == ([6], 1)
        assert asked[0][0] == f"{path}?pagination=keyset&order_by=id&sort=desc&per_page=2"
        assert asked[1][0].endswith("&per_page=2&cursor=eyJpZCI6IjgifQ%3D%3D")

    def test_a_page_that_follows_itself(self, settings: Settings, answers: Answers) -> None:
        """A cursor that leads to its own page is an error, not an endless list."""
        path = f"{API}/projects/5/jobs"
        answers[path] = [ok([row(9)], link=f'<{path}?cursor=abc>; rel="next"')]

        with pytest.raises(UnexpectedAnswerError, match="this page again"):
            run(settings, lambda client: client.jobs_page(PROJECT, cursor="abc"))

    def test_large_answer(self, settings: Settings, answers: Answers) -> None:
        """Sixteen kilobytes that unfold to more than 16 MiB are refused."""
        bomb = gzip.compress(b"[" + b" " * (17 * 2**20) + b"]")
        answers[f"{API}/projects/5/jobs"] = [(200, JSON | {"content-encoding": "gzip"}, bomb)]

        with pytest.raises(UnexpectedAnswerError, match="16 MiB"):
            run(settings, lambda client: client.jobs_page(PROJECT))

    def test_changed_pipelines(self, settings: Settings, answers: Answers, asked: Asked) -> None:
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
            found = client.changed_pipelines(5, since=SINCE, until=UNTIL)
            return [pipeline.id async for pipeline in found]

        ids = run(settings, use)

        assert ids == [3, 1, 2, 4, 8]
        queries = [path.partition("?")[2] for path, _ in asked]
        assert [("source=parent_pipeline" in query) for query in queries] == [False] * 3 + [True]
        assert "updated_after=2026-09-01T00:00:00Z" in queries[0]
        assert "updated_before=2026-09-02T00:00:00Z" in queries[0]
        assert "updated_after=2026-09-01T10:59:59.999000Z" in queries[1]
        assert [query.partition("&page=")[2][0] for query in queries] == ["1", "1", "2", "1"]

    def test_pipeline_jobs(self, settings: Settings, answers: Answers, asked: Asked) -> None:
        """Retried jobs are asked for, and one that comes twice is given once."""
        path = f"{API}/projects/5/pipelines/77/jobs"
        more = {"link": f'<{settings.url}{path}?page=2>; rel="next"'}
        answers[path] = [ok([row(3), row(2)], **more), ok([row(2), row(1)])]

        async def use(client: Client) -> list[int]:
            return [found.id async for found in client.pipeline_jobs(PROJECT, 77)]

        assert run(settings, use) == [3, 2, 1]
        assert "include_retried=true" in asked[0][0]

    def test_empty_page_with_a_next(self, settings: Settings, answers: Answers) -> None:
        """A list of empty pages ends."""
        path = f"{API}/projects/5/pipelines/77/jobs"
        answers[path] = [ok([], link=f'<{path}?page=2>; rel="next"')]

        async def use(client: Client) -> list[Job]:
            return [found async for found in client.pipeline_jobs(PROJECT, 77)]

        with pytest.raises(UnexpectedAnswerError, match="empty page"):
            run(settings, use)


class TestProxy:
    """The proxies of the environment."""

    def test_used(
        self, settings: Settings, answers: Answers, asked: Asked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request for another host goes through the proxy, asked for by its whole URL."""
        monkeypatch.setenv("http_proxy", settings.url)
        monkeypatch.setenv("no_proxy", "")
        answers[f"{API}/version"] = [ok({"version": "17.4.1"})]
        behind = dataclasses.replace(settings, url="http://gitlab.invalid")

        assert run(behind, lambda client: client.version()) == "17.4.1"
        assert asked[0][1]["host"] == "gitlab.invalid"

    def test_bypassed(
        self, settings: Settings, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A host that the environment exempts is asked directly."""
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        answers[f"{API}/version"] = [ok({"version": "17.4.1"})]

        assert run(settings, lambda client: client.version()) == "17.4.1"


class TestVersion:
    """`version`, the probe."""

    def test_version(self, settings: Settings, answers: Answers) -> None:
        """A GitLab that takes the token says its version."""
        answers[f"{API}/version"] = [ok({"version": "17.4.1-ee"})]

        assert run(settings, lambda client: client.version()) == "17.4.1-ee"

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
        self, settings: Settings, answers: Answers, answer: Answer, error: type[LogminerError]
    ) -> None:
        """Whatever the probe meets is fatal, and says what."""
        answers[f"{API}/version"] = [answer]

        with pytest.raises(error):
            run(settings, lambda client: client.version())

    def test_needs_to_be_open(self, settings: Settings) -> None:
        """Without `async with` there is no client."""
        with pytest.raises(RuntimeError, match="async with"):
            asyncio.run(Client(settings).version())


class TestToken:
    """The token is nowhere to be read."""

    def test_not_in_text(
        self, settings: Settings, answers: Answers, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither the client, its counts nor anything logged shows it."""
        answers[f"{API}/projects/5/jobs"] = [ok([{"id": 6}, row(5)])]
        with caplog.at_level(logging.DEBUG):

            async def use(client: Client) -> str:
                page = await client.jobs_page(PROJECT)
                return f"{client!r} {client.counts!r} {page!r}"

            shown = run(settings, use)

        assert settings.token not in shown + caplog.text + repr(settings)
        assert "job 6" in caplog.text
