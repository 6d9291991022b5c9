"""Pace, budget and blocks over a real socket: what the server is asked, and when."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from logminer.errors import (
    AuthorisationError,
    BlockedError,
    BudgetSpentError,
    ForbiddenError,
    RateLimitedError,
)
from logminer.gitlab import Budget, Client, Kind, Pacer, RateLimit, Settings, discover
from logminer.model import Project
from logminer.simulator import Behaviour, Company, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.model import Job

Answers = dict[str, list[tuple[int, dict[str, str], bytes]]]
Asked = list[tuple[str, dict[str, str]]]

API = "/api/v4"
TEXT = {"content-type": "text/plain"}
JSON = {"content-type": "application/json"}
TRACE = f"{API}/projects/5/jobs/12/trace"
VERSION = (200, JSON, b'{"version":"17.4.1"}')
FORBIDDEN = (403, JSON, b'{"message":"403 Forbidden"}')
EPOCH = 1_789_351_200
"""The server's clock when the client's is at zero."""


class Limited:
    """A server that allows so many requests in each minute of the client's clock."""

    def __init__(self, clock: Callable[[], float], limit: int) -> None:
        """Begin with a window at zero."""
        self.clock = clock
        self.limit = limit
        self.told: Callable[[int], int] = lambda left: left
        self.served: dict[int, int] = {}
        self.refused = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Count a request; refuse it where the window is used up."""
        del request
        now = self.clock()
        window = int(now // 60)
        self.served[window] = self.served.get(window, 0) + 1
        left = self.limit - self.served[window]
        headers = {
            "Date": email.utils.formatdate(EPOCH + int(now), usegmt=True),
            "RateLimit-Remaining": str(self.told(max(0, left))),
            "RateLimit-Reset": str(EPOCH + 60 * (window + 1)),
        }
        # Answers overtake each other, as they do.
        await asyncio.sleep(0.001 * (left % 3))
        if left < 0:
            self.refused += 1
            return web.Response(status=429, text="Retry later", headers=headers)
        return web.Response(text="x", headers=headers)


def many(count: int, sink: type[Any], job: Job, workers: int = 32) -> Callable[[Client], Any]:
    """Read so many traces side by side; return how many were read."""

    async def use(client: Client) -> int:
        left = iter(range(count))
        done = 0

        async def worker() -> None:
            nonlocal done
            for number in left:
                await client.read_trace(replace(job, id=number + 1), sink)
                done += 1

        found = await asyncio.gather(*(worker() for _ in range(workers)), return_exceptions=True)
        errors = [each for each in found if each is not None]
        if errors:
            raise errors[0]
        return done

    return use


def test_nobody_queues_at_an_open_gate() -> None:
    """Whoever comes while others are being woken goes at once: a queue would never dissolve."""

    async def main() -> tuple[bool, Any, list[bool]]:
        client = Client(Settings(url="http://127.0.0.1:1", token="t"))  # noqa: S106 -- no server
        scout = await client._admit(Kind.TRACE)
        waiting = [asyncio.create_task(client._admit(Kind.TRACE)) for _ in range(3)]
        await asyncio.sleep(0)
        client._pacer.answered(0.0, None, scout=scout)
        client._gate.release()
        late = client._admit(Kind.TRACE)
        try:
            late.send(None)
        except StopIteration as ended:
            return scout, ended.value, await asyncio.gather(*waiting)
        raise AssertionError("it waits")

    assert asyncio.run(main()) == (True, False, [False, False, False])


class TestLimits:
    """Limits that the server tells."""

    @pytest.mark.parametrize("limit", [1, 7, 50])
    def test_honest(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        clock: Callable[[], float],
        sink: type[Any],
        job: Job,
        limit: int,
    ) -> None:
        """An honest server never has to answer 429, and its windows are used.

        What is under way when a window ends counts in the next, so one more may be begun.
        """
        server = Limited(clock, limit)
        by_hand(server)

        assert run(many(3 * limit, sink, job)) == 3 * limit
        assert server.refused == 0
        assert len(server.served) <= 4

    def test_more_left_than_there_is(
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        clock: Callable[[], float],
        sink: type[Any],
        job: Job,
    ) -> None:
        """Where the header promises too much, the 429s still pace: all is read in the end."""
        server = Limited(clock, 20)
        server.told = lambda _: 1_000
        by_hand(server)

        assert run(many(60, sink, job)) == 60
        assert server.refused <= 3 * 32

    def test_nothing_left_for_ever(
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        clock: Callable[[], float],
        sink: type[Any],
        job: Job,
    ) -> None:
        """Where the header always says that nothing is left, the run is slow, and ends."""
        server = Limited(clock, 1_000)
        server.told = lambda _: 0
        by_hand(server)

        assert run(many(5, sink, job)) == 5
        assert server.served == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            (TEXT, b"Retry later"),
            (JSON, b'{"message":{"error":"This endpoint has been requested too many times."}}'),
            ({"content-type": "text/html"}, b"<html>429 from a proxy</html>"),
            ({}, b""),
        ],
    )
    @pytest.mark.parametrize(
        ("after", "wait"),
        [
            ({"retry-after": "7"}, 7.0),
            (
                {
                    "retry-after": "Mon, 14 Sep 2026 02:00:09 GMT",
                    "date": "Mon, 14 Sep 2026 02:00:00 GMT",
                },
                9.0,
            ),
            ({}, 60.0),
        ],
    )
    def test_whoever_says_429(  # noqa: PLR0913, PLR0917 -- fixtures and cases
        self,
        run: Callable[..., Any],
        answers: Answers,
        clock: Callable[[], float],
        sink: type[Any],
        job: Job,
        headers: dict[str, str],
        body: bytes,
        after: dict[str, str],
        wait: float,
    ) -> None:
        """GitLab, its application or a proxy: as text, JSON, HTML or nothing, it is waited out."""
        answers[TRACE] = [(429, headers | after, body), (200, TEXT, b"x")]

        async def use(client: Client) -> int:
            await client.read_trace(job, sink)
            return client.counts.rate_limited

        assert run(use) == 1
        assert clock() == wait

    def test_429_for_ever(
        self,
        run: Callable[..., Any],
        answers: Answers,
        asked: Asked,
        sink: type[Any],
        job: Job,
    ) -> None:
        """A server that only ever says 429 is given up."""
        answers[TRACE] = [(429, {}, b"")]

        with pytest.raises(RateLimitedError):
            run(lambda client: client.read_trace(job, sink))
        assert len(asked) == 6

    def test_seen_from_outside(
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        clock: Callable[[], float],
        sink: type[Any],
        job: Job,
    ) -> None:
        """What is left, and what became of the requests, is there to be shown."""
        by_hand(Limited(clock, 20))

        async def use(client: Client) -> Any:  # noqa: ANN401 -- a tuple
            before = client.limit
            await client.read_trace(job, sink)
            return before, client.limit, client.counts.answers

        before, after, counts = run(use)

        assert before is None
        assert after == RateLimit(remaining=19, reset_in=60.0)
        assert counts == {(Kind.TRACE, "2xx"): 1}

    def test_discovery_and_harvest_share_a_pace(
        self,
        run: Callable[..., Any],
        settings: Settings,
        answers: Answers,
        clock: Callable[[], float],
        nap: Callable[[float], None],
    ) -> None:
        """One pacer and one budget go through both."""
        answers[f"{API}/version"] = [VERSION]
        answers[f"{API}/projects/5"] = [(200, JSON, b'{"id":5,"path_with_namespace":"g/p"}')]
        pacer, budget = Pacer(rps=0.5), Budget(max_requests=3)

        discover(settings, projects=[5], pacer=pacer, budget=budget, sleep=nap, clock=clock)
        run(lambda client: client.version(), pacer=pacer, budget=budget)

        assert (clock(), budget.left) == (4.0, 0)
        with pytest.raises(BudgetSpentError):
            discover(settings, projects=[5], budget=budget, sleep=nap, clock=clock)


def test_simulated_limit(sink: type[Any]) -> None:
    """Thirty-two readers in real time never make the simulator refuse one of them."""
    company = Company.generate(
        seed=1, today=dt.date(2026, 9, 14), days=14, projects=3, jobs=100, prerender=True
    )
    behaviour = Behaviour(requests_per_minute=60, window=1.0)

    async def main(at: Settings, projects: list[Project]) -> int:
        async with Client(at) as client:
            jobs: list[Job] = []
            for project in projects:
                with suppress(ForbiddenError):
                    jobs += (await client.jobs_page(project)).jobs
            reads = (client.read_trace(each, sink) for each in jobs if each.started_at)
            await asyncio.gather(*reads, return_exceptions=True)
            return client.counts.rate_limited

    with serve(company, behaviour=behaviour) as server:
        at = Settings(url=server.url, token=server.token)
        refused = asyncio.run(main(at, discover(at, everything=True)))

    assert refused == 0
    assert server.requests.total > 60


class TestBudget:
    """`Budget`, as the client keeps it."""

    def test_requests(
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        clock: Callable[[], float],
        sink: type[Any],
        job: Job,
    ) -> None:
        """Not one request more is sent; those under way end."""
        server = Limited(clock, 1_000)
        by_hand(server)
        ended = []

        class Ends(sink):  # type: ignore[misc]  # a class that a fixture gives
            def feed(self, data: bytes, /) -> None:
                ended.append(data)

        with pytest.raises(BudgetSpentError, match="40 requests"):
            run(many(100, Ends, job), budget=Budget(max_requests=40))
        assert server.served == {0: 40}
        assert len(ended) == 40

    @pytest.mark.parametrize("status", [429, 503])
    def test_no_sleep_past_the_deadline(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        run: Callable[..., Any],
        answers: Answers,
        sleeps: list[float],
        sink: type[Any],
        job: Job,
        status: int,
    ) -> None:
        """A wait that the time does not allow is not begun: after a failure, ..."""
        answers[TRACE] = [(status, {"retry-after": "50"}, b"")]

        with pytest.raises(BudgetSpentError, match="--max-duration"):
            run(lambda client: client.read_trace(job, sink), budget=Budget(deadline=50.0))
        assert sleeps == []

    def test_no_pause_past_the_deadline(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        clock: Callable[[], float],
        sleeps: list[float],
        sink: type[Any],
        job: Job,
    ) -> None:
        """... or for the pace."""
        by_hand(Limited(clock, 1_000))

        with pytest.raises(BudgetSpentError, match="--max-duration"):
            run(many(9, sink, job, 1), budget=Budget(deadline=45.0), pacer=Pacer(rps=0.1))
        assert sleeps == [10.0] * 4


class TestBlocked:
    """A server that refuses an address answers 403 to everything."""

    def test_everything(
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        sink: type[Any],
        job: Job,
    ) -> None:
        """A 403 that /version shares is a block: it ends the run, in one line that says what to do.

        However many traces met it, none is told to be forbidden.
        """

        async def refuse(request: web.BaseRequest) -> web.StreamResponse:
            del request
            return web.Response(status=403, text="<html>Forbidden", content_type="text/html")

        by_hand(refuse)

        async def use(client: Client) -> list[object]:
            jobs = (replace(job, id=number) for number in range(1, 33))
            reads = (client.read_trace(each, sink) for each in jobs)
            found: list[object] = await asyncio.gather(*reads, return_exceptions=True)
            return found

        found = run(use)

        assert {type(each) for each in found} == {BlockedError}
        assert "Wait an hour" in str(found[0])
        assert "\n" not in str(found[0])

    def test_one_thing(
        self,
        run: Callable[..., Any],
        answers: Answers,
        asked: Asked,
        sink: type[Any],
        job: Job,
    ) -> None:
        """A 403 that stays when /version is answered is about that one thing."""
        answers[TRACE] = [FORBIDDEN]
        answers[f"{API}/version"] = [VERSION]

        with pytest.raises(ForbiddenError):
            run(lambda client: client.read_trace(job, sink))
        assert [path for path, _ in asked] == [TRACE, f"{API}/version", TRACE]

    def test_over_again(
        self, run: Callable[..., Any], answers: Answers, sink: type[Any], job: Job
    ) -> None:
        """A trace that was refused by a block which is over again is read after all."""
        answers[TRACE] = [FORBIDDEN, (200, TEXT, b"x")]
        answers[f"{API}/version"] = [VERSION]

        assert run(lambda client: client.read_trace(job, sink)).size == 1

    def test_many_share_a_probe(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        answers: Answers,
        asked: Asked,
        sink: type[Any],
        job: Job,
    ) -> None:
        """Traces refused together are cleared by one or two probes, begun after them."""
        answers[f"{API}/version"] = [VERSION]

        async def refuse(request: web.BaseRequest) -> web.StreamResponse | None:
            if request.path.endswith("/version"):
                return None
            return web.Response(status=403, text="{}")

        by_hand(refuse)

        async def use(client: Client) -> list[object]:
            await client.version()
            jobs = (replace(job, id=number) for number in range(1, 33))
            reads = (client.read_trace(each, sink) for each in jobs)
            found: list[object] = await asyncio.gather(*reads, return_exceptions=True)
            return found

        found = run(use)

        assert {type(each) for each in found} == {ForbiddenError}
        assert sum(path.endswith("/version") for path, _ in asked) <= 1 + 8

    def test_lists_too(self, run: Callable[..., Any], answers: Answers) -> None:
        """A project is not told to be forbidden by a block, either."""
        answers[f"{API}/projects/5/jobs"] = [FORBIDDEN]
        answers[f"{API}/version"] = [FORBIDDEN]

        with pytest.raises(BlockedError):
            run(lambda client: client.jobs_page(Project(id=5, path="g/p")))

    def test_discovery(self, settings: Settings, answers: Answers) -> None:
        """Discovery that is blocked half-way does not call the project unknown."""
        answers[f"{API}/version"] = [VERSION, FORBIDDEN]
        answers[f"{API}/projects/5"] = [FORBIDDEN]

        with pytest.raises(BlockedError, match="Wait an hour"):
            discover(settings, projects=[5])

    def test_revoked_token(
        self, run: Callable[..., Any], answers: Answers, sink: type[Any], job: Job
    ) -> None:
        """A token that is revoked half-way ends the run for what it is."""
        answers[TRACE] = [(200, TEXT, b"x"), (401, JSON, b'{"error":"invalid_token"}')]

        with pytest.raises(AuthorisationError, match="revoked"):
            run(lambda client: twice(client, job, sink))


async def twice(client: Client, job: Job, sink: type[Any]) -> None:
    """Read a trace, and again."""
    await client.read_trace(job, sink)
    await client.read_trace(job, sink)
