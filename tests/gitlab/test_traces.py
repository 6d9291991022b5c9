"""How much of a trace is read, by which requests, and whether it came whole."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from logminer.errors import ConnectionFailedError, UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.gitlab import Client, TraceRead
    from logminer.model import Job

Answers = dict[str, list[tuple[int, dict[str, str], bytes]]]
Asked = list[tuple[str, dict[str, str]]]

TEXT = {"content-type": "text/plain"}
TRACE = "/api/v4/projects/5/jobs/12/trace"


class Ranges:
    """A server that honours ranges; `spoil` may change what it sends."""

    def __init__(self, log: bytes) -> None:
        """Serve this log."""
        self.log = log
        self.asked: list[str] = []
        self.spoil: Callable[[int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]] = (
            lambda *answer: answer
        )

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the part that is asked for."""
        asked = request.headers.get("Range", "")
        self.asked.append(asked)
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        if match is None:
            return web.Response(body=self.log)
        first, last = int(match[1]), min(int(match[2]), len(self.log) - 1)
        status, headers, body = self.spoil(
            206,
            {"Content-Range": f"bytes {first}-{last}/{len(self.log)}"},
            self.log[first : last + 1],
        )
        return web.Response(status=status, headers=headers, body=body)


@pytest.fixture
def ranges(by_hand: Callable[..., None], log: bytes) -> Ranges:
    """The log, from a server that honours ranges."""
    server = Ranges(log)
    by_hand(server)
    return server


def data(read: TraceRead[Any]) -> bytes:
    """Return what the sink took in; it must be as much as is said."""
    taken = b"".join(read.sink.chunks)
    assert read.size == len(taken)
    return taken


class TestBounds:
    """`max_bytes` and `enough` where the whole is sent."""

    def test_all(self, read: Callable[..., Any], answers: Answers, log: bytes) -> None:
        """Without a bound all is read, and nothing is cut."""
        answers[TRACE] = [(200, TEXT, log)]
        found = read()

        assert (data(found), found.cut) == (log, False)

    @pytest.mark.parametrize("encoded", [False, True])
    @pytest.mark.parametrize("bound", [1, 70_000, -1])
    def test_cut(
        self, read: Callable[..., Any], answers: Answers, log: bytes, bound: int, *, encoded: bool
    ) -> None:
        """A bound below the size cuts exactly there, and says so."""
        bound %= len(log)
        headers = TEXT | ({"content-encoding": "gzip"} if encoded else {})
        answers[TRACE] = [(200, headers, gzip.compress(log) if encoded else log)]
        found = read(max_bytes=bound, trace_size=len(log))

        assert (data(found), found.cut) == (log[:bound], True)

    @pytest.mark.parametrize("more", [0, 1])
    def test_not_cut(
        self, read: Callable[..., Any], answers: Answers, asked: Asked, log: bytes, more: int
    ) -> None:
        """A bound that the log keeps within cuts nothing; a great one asks for no range."""
        answers[TRACE] = [(200, TEXT, log)]
        found = read(max_bytes=len(log) + more)

        assert (data(found), found.cut) == (log, False)
        assert "range" not in asked[0][1]

    def test_enough_at_the_end(self, read: Callable[..., Any], answers: Answers) -> None:
        """Enough with the last byte is no cut."""
        answers[TRACE] = [(200, TEXT, b"all of it")]
        found = read(enough=lambda _: True)

        assert (data(found), found.cut) == (b"all of it", False)

    def test_no_log_is_that_long(
        self,
        read: Callable[..., Any],
        answers: Answers,
        asked: Asked,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What unfolds beyond any log's size is given up, and not tried again."""
        monkeypatch.setattr("logminer.gitlab.traces.MAX_TRACE_BYTES", 1_000_000)
        bomb = gzip.compress(bytes(2_000_000))
        answers[TRACE] = [(200, TEXT | {"content-encoding": "gzip"}, bomb)]

        with pytest.raises(UnexpectedAnswerError, match="longer than any log"):
            read()
        assert len(asked) == 1


class TestWhole:
    """Whether the body came whole, held against the artifact's size."""

    def test_short(self, read: Callable[..., Any], answers: Answers, log: bytes) -> None:
        """A body that ends well but early is read again."""
        answers[TRACE] = [(200, TEXT, log[:-7]), (200, TEXT, log)]

        assert data(read(trace_size=len(log))) == log

    def test_always_short(
        self, read: Callable[..., Any], answers: Answers, asked: Asked, log: bytes
    ) -> None:
        """One that is always short is a failure, not a log."""
        answers[TRACE] = [(200, TEXT, log[:-7])]

        with pytest.raises(ConnectionFailedError, match="broke off"):
            read(trace_size=len(log))
        assert len(asked) == 6

    def test_empty(self, read: Callable[..., Any], answers: Answers, asked: Asked) -> None:
        """An empty log is an answer: erased since, or lost; whoever asked may look."""
        answers[TRACE] = [(200, TEXT, b"")]
        found = read(trace_size=100)

        assert (data(found), found.cut, len(asked)) == (b"", False, 1)

    def test_longer(self, read: Callable[..., Any], answers: Answers, log: bytes) -> None:
        """A log that is longer than the row said has all the row knew of."""
        answers[TRACE] = [(200, TEXT, log)]

        assert data(read(trace_size=100)) == log

    def test_torn_chunks(
        self, read: Callable[..., Any], by_hand: Callable[..., None], log: bytes
    ) -> None:
        """A chunked body without its end is read again."""
        turns = iter([True, False])

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            torn = next(turns)
            await response.write(log[: 1_000 if torn else None])
            if torn:
                assert request.transport is not None
                request.transport.close()
            return response

        by_hand(handle)

        assert data(read()) == log


class TestRanges:
    """Reading the beginning by `Range`."""

    def test_first_part_is_enough(
        self, read: Callable[..., Any], ranges: Ranges, log: bytes
    ) -> None:
        """Where the first part does, it is all that is asked for."""
        found = read(enough=lambda sink: sink.chunks, trace_size=len(log))

        assert ranges.asked == ["bytes=0-65535"]
        assert found.cut
        assert log.startswith(data(found))

    def test_small_bound(self, read: Callable[..., Any], ranges: Ranges, log: bytes) -> None:
        """So it does for a small bound."""
        found = read(max_bytes=5_000)

        assert (data(found), found.cut) == (log[:5_000], True)
        assert ranges.asked == ["bytes=0-65535"]

    def test_to_the_end(self, read: Callable[..., Any], ranges: Ranges, log: bytes) -> None:
        """Where nothing is enough, the parts make the whole."""
        found = read(enough=lambda _: False, trace_size=len(log))

        assert (data(found), found.cut) == (log, False)
        assert ranges.asked == ["bytes=0-65535", "bytes=65536-1114111"]

    def test_short_log(self, read: Callable[..., Any], ranges: Ranges) -> None:
        """A log shorter than the first part is read by one request."""
        ranges.log = b"short"
        found = read(enough=lambda _: False)

        assert (data(found), found.cut, len(ranges.asked)) == (b"short", False, 1)

    def test_server_without_ranges(
        self, read: Callable[..., Any], answers: Answers, asked: Asked, log: bytes
    ) -> None:
        """A server that sends the whole is left where there is enough."""
        answers[TRACE] = [(200, TEXT, log * 20)]
        found = read(enough=lambda sink: sink.chunks)

        assert found.cut
        assert (log * 20).startswith(data(found))
        assert found.size < 2**20
        assert [headers["range"] for _, headers in asked] == ["bytes=0-65535"]

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda s, h, b: (416, {}, b""), id="refused"),  # noqa: ARG005 -- one form
            pytest.param(lambda s, h, b: (s, {}, b), id="which part?"),  # noqa: ARG005 -- as above
            pytest.param(
                lambda s, h, b: (s, {"Content-Range": "bytes 1-5/900000"}, b),  # noqa: ARG005
                id="another part",
            ),
            pytest.param(
                lambda s, h, b: (s, {"Content-Range": "bytes 0-9/900000"}, b[:10]),  # noqa: ARG005
                id="crumbs",
            ),
            pytest.param(lambda s, h, b: (s, h, b[:-1]), id="shorter than it says"),
            pytest.param(
                lambda s, h, b: (s, h | {"Content-Encoding": "gzip"}, gzip.compress(b[:99])),
                id="encoded",
            ),
            pytest.param(
                lambda s, h, b: (
                    (s, h, b)
                    if h["Content-Range"].startswith("bytes 0-")
                    else (s, {"Content-Range": h["Content-Range"] + "0"}, b)
                ),
                id="changed meanwhile",
            ),
        ],
    )
    def test_parts_that_are_none(
        self, read: Callable[..., Any], ranges: Ranges, log: bytes, spoil: Callable[..., Any]
    ) -> None:
        """Whatever is wrong with a part, the whole is read instead, from its beginning."""
        ranges.spoil = spoil
        found = read(enough=lambda _: False)

        assert (data(found), found.cut) == (log, False)
        assert ranges.asked[-1] == ""

    def test_a_part_that_breaks_off(
        self, run: Callable[..., Any], ranges: Ranges, log: bytes, sink: type[Any], job: Job
    ) -> None:
        """After a failure all parts are read again, into a new sink."""
        turns = iter([206, 503])
        ranges.spoil = lambda _, headers, body: (next(turns, 206), headers, body)
        sinks: list[Any] = []

        def start() -> Any:  # noqa: ANN401 -- a sink
            sinks.append(sink())
            return sinks[-1]

        async def use(client: Client) -> Any:  # noqa: ANN401 -- what was read
            return await client.read_trace(job, start, enough=lambda _: False)

        assert data(run(use)) == log
        assert len(sinks) == 2
