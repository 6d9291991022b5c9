"""Faults as a client meets them, over real sockets, without a library that would mend them."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from logminer.simulator import STORM, Behaviour, Company, Faults, serve
from logminer.simulator.faults import FaultDice

Get = Callable[..., Any]
Read = Callable[..., Any]

_VERSION = "/api/v4/version"
_PROJECTS = "/api/v4/projects?per_page=100"


def _always(kind: Any, **more: Any) -> Behaviour:  # noqa: ANN401 -- a fault and the fields of Faults
    return Behaviour(faults=(Faults(rate=1.0, kinds=(kind,), **more),))


@pytest.fixture
def whole(small: Company, get: Get) -> bytes:
    """The true body of the list of projects."""
    with serve(small) as server:
        body = get(server, _PROJECTS).body
    assert isinstance(body, bytes)
    return body


# -- broken connections -------------------------------------------------------------------------


def test_reset(small: Company, raw: Read) -> None:
    """The connection breaks and nothing was sent."""
    with serve(small, behaviour=_always("reset")) as server:
        found = raw(server, _VERSION)

    assert (found.head, found.was_reset) == (b"", True)
    assert server.requests.log == [("version", _VERSION, 0)]
    assert server.requests.faults == {"reset": 1}


def test_reset_in_the_body(small: Company, raw: Read, whole: bytes) -> None:
    """The connection breaks after half of what was promised."""
    with serve(small, behaviour=_always("reset_midbody")) as server:
        found = raw(server, _PROJECTS)

    assert found.was_reset
    assert len(found.body) <= len(whole) // 2


def test_truncated(small: Company, raw: Read, whole: bytes) -> None:
    """The connection is closed in order before as many bytes as `Content-Length` says."""
    with serve(small, behaviour=_always("truncated")) as server:
        found = raw(server, _PROJECTS)

    assert not found.was_reset
    assert found.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert found.length == len(whole)
    assert len(found.body) == len(whole) // 2


def test_torn(small: Company, raw: Read, whole: bytes) -> None:
    """A chunked body is closed before its last chunk."""
    with serve(small, behaviour=_always("torn")) as server:
        found = raw(server, _PROJECTS)

    half = whole[: len(whole) // 2]
    size, _, rest = found.body.partition(b"\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in found.head
    assert int(size, 16) == len(half)
    assert len(rest) == len(half) + 2
    assert not found.was_reset


def test_short(small: Company, raw: Read, whole: bytes) -> None:
    """Half a body that says it is whole."""
    with serve(small, behaviour=_always("short")) as server:
        found = raw(server, _PROJECTS)

    assert found.length == len(found.body) == len(whole) // 2


def test_short_length(small: Company, raw: Read, whole: bytes) -> None:
    """More follows on the connection than `Content-Length` says."""
    with serve(small, behaviour=_always("short_length")) as server:
        found = raw(server, _PROJECTS)

    assert found.length == len(whole) // 2
    assert len(found.body) == len(whole)


def test_stall(small: Company, raw: Read) -> None:
    """Not a byte comes, and in the end the connection breaks."""
    with serve(small, behaviour=_always("stall", seconds=0.2)) as server:
        began = time.monotonic()
        found = raw(server, _VERSION)
        took = time.monotonic() - began

    assert (found.head, found.was_reset) == (b"", True)
    assert took >= 0.2


def test_a_stall_ends_with_the_server(small: Company, raw: Read) -> None:
    """A server that stops does not wait for its stalls."""
    began = time.monotonic()
    with (
        serve(small, behaviour=_always("stall", seconds=60)) as server,
        pytest.raises(TimeoutError),
    ):
        raw(server, _VERSION, patience=0.1)

    assert time.monotonic() - began < 5


def test_drip(small: Company, raw: Read) -> None:
    """The body comes byte by byte."""
    with serve(small, behaviour=_always("drip", seconds=0.002)) as server:
        began = time.monotonic()
        found = raw(server, _VERSION)
        took = time.monotonic() - began

    assert json.loads(found.body)["version"] == "19.3.1-ee"
    assert took >= 0.002 * len(found.body)


# -- encodings and hostile bodies ---------------------------------------------------------------


def test_bad_gzip(small: Company, raw: Read) -> None:
    """What says gzip is noise."""
    with serve(small, behaviour=_always("bad_gzip")) as server:
        found = raw(server, _PROJECTS)

    assert b"\r\nContent-Encoding: gzip" in found.head
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(found.body)


def test_cut_gzip(small: Company, raw: Read, whole: bytes) -> None:
    """A gzip stream ends early, in a message that is whole."""
    with serve(small, behaviour=_always("cut_gzip")) as server:
        found = raw(server, _PROJECTS)

    machine = zlib.decompressobj(wbits=31)
    start = machine.decompress(found.body)
    assert found.length == len(found.body)
    assert not machine.eof
    assert 0 < len(start) < len(whole)


def test_gzip_bomb(small: Company, raw: Read) -> None:
    """A megabyte is a gigabyte of zeros."""
    with serve(small, behaviour=_always("gzip_bomb")) as server:
        found = raw(server, _VERSION)

    machine = zlib.decompressobj(wbits=31)
    assert len(found.body) < 2**20 * 1.1
    assert machine.decompress(found.body, 2**22) == bytes(2**22)
    assert found.body.endswith((2**30).to_bytes(4, "little"))


@pytest.mark.slow
def test_the_whole_gzip_bomb(small: Company, raw: Read) -> None:
    """Who reads all of the bomb finds nothing wrong with it."""
    with serve(small, behaviour=_always("gzip_bomb")) as server:
        rest = raw(server, _VERSION).body
    machine, size = zlib.decompressobj(wbits=31), 0
    while not machine.eof:
        size += len(machine.decompress(rest, 2**24))
        rest = machine.unconsumed_tail

    assert size == 2**30
    assert machine.unused_data == b""


def test_endless_headers(small: Company, raw: Read) -> None:
    """Headers come for as long as somebody reads."""
    with serve(small, behaviour=_always("endless_headers")) as server:
        found = raw(server, _PROJECTS, at_most=3 * 10**6)

    assert len(found.head) >= 3 * 10**6


def test_huge_json(small: Company, raw: Read) -> None:
    """A JSON array goes on for as long as somebody reads."""
    with serve(small, behaviour=_always("huge_json")) as server:
        found = raw(server, _PROJECTS, at_most=3 * 10**6)

    assert found.body.startswith(b"1\r\n[\r\n")
    assert found.body.count(b'{"id":1') > 100_000


def test_huge_headers(small: Company, raw: Read, whole: bytes) -> None:
    """A megabyte of headers, then the true body."""
    with serve(small, behaviour=_always("huge_headers")) as server:
        found = raw(server, _PROJECTS)

    assert len(found.head) > 10**6
    assert len(found.body) == len(whole)


def test_deep_json(small: Company, get: Get) -> None:
    """A million brackets."""
    with serve(small, behaviour=_always("deep_json")) as server:
        answer = get(server, _PROJECTS)

    assert (answer.status, answer.body) == (200, b"[" * 10**6)


# -- other answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503])
def test_errors(small: Company, get: Get, status: int) -> None:
    """Server errors; only 503 says when to come again."""
    with serve(small, behaviour=_always(f"error_{status}", seconds=7)) as server:
        answer = get(server, _VERSION)

    assert answer.status == status
    assert answer.headers["Retry-After"] == ("7" if status == 503 else None)
    assert server.requests.statuses == {status: 1}


def test_login_page_and_nothing(small: Company, get: Get) -> None:
    """A proxy's sign-in page is HTML with status 200; nothing at all is 204."""
    with serve(small, behaviour=_always("login_page")) as server:
        page = get(server, _VERSION)
        server.behaviour = _always("nothing")
        nothing = get(server, _VERSION)

    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"Sign in" in page.body
    assert (nothing.status, nothing.body) == (204, b"")


@pytest.mark.parametrize(
    ("kind", "location"),
    [
        ("redirect_same", _VERSION),
        ("redirect_elsewhere", f"http://else.example{_VERSION}"),
        ("redirect_private", f"http://127.0.0.1:9{_VERSION}"),
    ],
)
def test_redirects(small: Company, get: Get, kind: str, location: str) -> None:
    """A redirect may lead to the same path, to another host, or to a private address."""
    with serve(small, behaviour=_always(kind, elsewhere="http://else.example")) as server:
        answer = get(server, _VERSION)
        again = get(server, _VERSION)

    assert (answer.status, answer.headers["Location"]) == (302, location)
    assert again.status == (200 if kind == "redirect_same" else 302)


def test_redirect_loop(small: Company, get: Get) -> None:
    """A redirect may lead to a path that leads to itself."""
    once = replace(_always("redirect_loop").faults[0], in_a_row=1)
    with serve(small, behaviour=Behaviour(faults=(once,))) as server:
        place = get(server, _VERSION).headers["Location"]
        server.behaviour = Behaviour()
        answer = get(server, place)

    assert (answer.status, answer.headers["Location"]) == (302, place)


def test_throttled_burst(small: Company, get: Get) -> None:
    """A 429 may stand for the requests that follow, too; then it is over."""
    faults = Faults(rate=1.0, kinds=("throttled",), on=frozenset({"version"}), burst=3)
    with serve(small, behaviour=Behaviour(faults=(faults,))) as server:
        first = get(server, _VERSION)
        server.behaviour = Behaviour(faults=(replace(faults, on=frozenset({"user"})),))
        other = get(server, _VERSION)

    assert first.status == 429
    assert first.headers["Retry-After"] == "2"
    assert other.status == 200


# -- the dice -----------------------------------------------------------------------------------


def _thrown(faults: Faults, paths: list[str]) -> list[str | None]:
    dice = FaultDice()
    hits = [dice.throw((faults,), "jobs", path) for path in paths]
    return [hit.fault if hit else None for hit in hits]


def test_share_and_seed() -> None:
    """As many requests fail as the rate says, others with another seed, in every way there is."""
    paths = [f"/{number}" for number in range(2_000)]
    one = _thrown(Faults(rate=0.2), paths)
    other = _thrown(Faults(rate=0.2, seed=1), paths)

    assert 320 < sum(hit is not None for hit in one) < 480
    assert one == _thrown(Faults(rate=0.2), paths)
    assert one != other
    assert set(one) == {None, *STORM}


def test_order_does_not_matter() -> None:
    """Whether a request fails does not depend on what else is asked for, nor when."""
    paths = [f"/{number}" for number in range(100)]
    forward = dict(zip(paths, _thrown(Faults(rate=0.5), paths), strict=True))
    backward = dict(zip(paths[::-1], _thrown(Faults(rate=0.5), paths[::-1]), strict=True))

    assert forward == backward


def test_in_a_row() -> None:
    """A path that failed as often in a row as is allowed answers."""
    thrown = _thrown(Faults(rate=1.0, kinds=("reset",), in_a_row=2), ["/a"] * 6)

    assert thrown == ["reset", "reset", None, "reset", "reset", None]


def test_only_some_kinds_of_requests() -> None:
    """Faults may concern some endpoints only; the first of several that hits counts."""
    dice = FaultDice()
    faults = (
        Faults(rate=1.0, kinds=("stall",), on=frozenset({"trace"})),
        Faults(rate=1.0, kinds=("reset",), on=frozenset({"trace", "jobs"})),
    )
    hits = [dice.throw(faults, kind, "/") for kind in ("trace", "jobs", "version")]

    assert [hit.fault if hit else None for hit in hits] == ["stall", "reset", None]


def test_burst_goes_on() -> None:
    """A burst refuses whatever comes next, then the dice decides again."""
    dice = FaultDice()
    faults = Faults(rate=0.02, kinds=("throttled",), burst=4)
    hits = [dice.throw((faults,), "jobs", f"/{number}") is not None for number in range(400)]
    first = hits.index(True)

    assert hits[first : first + 4] == [True] * 4
    assert sum(hits) < 100
    assert dice.throw((), "jobs", "/") is None


def test_unknown_fault() -> None:
    """A fault that does not exist is no silent health."""
    with pytest.raises(ValueError, match="no such fault: slow"):
        Faults(rate=1.0, kinds=("slow",))  # type: ignore[arg-type] # that is the point
