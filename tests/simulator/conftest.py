"""A year of a small company, one job told on its own, and a plain HTTP client."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import re
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from logminer.simulator import Company, Planted, Server, serve
from logminer.simulator.catalogue import hub
from logminer.simulator.dice import dice
from logminer.simulator.fleet import Runner
from logminer.simulator.life import Job, Pipeline
from logminer.simulator.narrate import narrate
from logminer.simulator.organisation import Project
from logminer.simulator.plan import Need, Plan
from logminer.simulator.recipes import Adoption, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logminer.simulator.catalogue import Image
    from logminer.simulator.recipes import Step
    from logminer.simulator.writer import Version

TODAY = dt.date(2026, 11, 23)
START = 1_768_988_825_000
"""2026-01-21T09:47:05Z."""


@pytest.fixture(scope="session")
def year() -> Company:
    """Return a year of 130 projects and 4,000 jobs, with short traces."""
    return Company.generate(
        seed=5, today=TODAY, days=365, projects=130, jobs=4000, median_trace_bytes=300
    )


@pytest.fixture
def small() -> Company:
    """Return a small company of the test's own, to do with as it likes."""
    return Company.generate(seed=2, today=TODAY, days=20, projects=8, jobs=60)


@pytest.fixture(scope="session")
def _year_server(year: Company) -> Iterator[Server]:
    with serve(year) as server:
        yield server


@pytest.fixture
def server(_year_server: Server, year: Company) -> Iterator[Server]:
    """Return the year's server; whatever time a test lets pass is taken back."""
    now = year.now
    yield _year_server
    year.now = now


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 -- what the server sent
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def next(self) -> str | None:
        """Path and query of the next page."""
        for link in (self.headers["Link"] or "").split(", "):
            url, _, relation = link.partition("; ")
            if relation == 'rel="next"':
                parts = urlsplit(url.strip("<>"))
                return f"{parts.path}?{parts.query}"
        return None


def _get(server: Server, path: str, headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path, headers={"PRIVATE-TOKEN": server.token, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.fixture
def get() -> Callable[..., Answer]:
    """Return a function that asks a server for a path, with its token unless told otherwise."""
    return _get


@dataclass(frozen=True)
class Raw:
    """What came over the connection before it ended, and how it ended."""

    head: bytes
    body: bytes
    was_reset: bool

    @property
    def length(self) -> int:
        """What `Content-Length` says."""
        return int(re.search(rb"\r\nContent-Length: (\d+)", self.head)[1])  # type: ignore[index] # a test's failure


def _raw(server: Server, path: str, *, at_most: int = 10**7, patience: float = 10) -> Raw:
    host, port = server.url.removeprefix("http://").split(":")
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nPRIVATE-TOKEN: {server.token}\r\n\r\n"
    received = bytearray()
    was_reset = False
    with socket.create_connection((host, int(port)), timeout=patience) as connection:
        connection.sendall(request.encode())
        try:
            while len(received) < at_most and (piece := connection.recv(2**16)):
                received += piece
        except ConnectionResetError:
            was_reset = True
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    return Raw(head, body, was_reset)


@pytest.fixture
def raw() -> Callable[..., Raw]:
    """Return a function that asks for a path and reads until the connection ends, or enough."""
    return _raw


@pytest.fixture
def pages() -> Callable[[Server, str], list[Any]]:
    """Return a function that collects the items of all pages, following `Link`."""

    def collect(server: Server, path: str) -> list[Any]:
        items: list[Any] = []
        following: str | None = path
        while following:
            answer = _get(server, following)
            items += answer.json
            following = answer.next
        return items

    return collect


def _need(
    image: Image,
    policies: tuple[str, ...] = ("always",),
    *,
    cached: bool = False,
    **more: Any,  # noqa: ANN401 -- fields of Need
) -> Need:
    return Need(image=image, policies=policies, cached=cached, **more)


@pytest.fixture
def need() -> Callable[..., Need]:
    """Return a function that makes a need: policy `always`, not cached, unless told otherwise."""
    return _need


def _tell(  # noqa: PLR0913 -- a job has many sides
    version: Version = (18, 6, 0),
    *,
    executor: str = "docker",
    main: Need | None = None,
    services: tuple[Need, ...] = (),
    steps: tuple[Step, ...] = (),
    mishap: str = "none",
    failure_kind: str = "other",
    runner: dict[str, Any] | None = None,
    **plan_changes: Any,  # noqa: ANN401 -- fields of Plan
) -> tuple[bytes, tuple[Planted, ...]]:
    project = Project(
        id=9, number=0, path="acme/shop/web", group_id=13, stack="go", weight=1.0, archived=False,
        ci_enabled=True, jobs_forbidden=False,
    )  # fmt: skip
    machine = Runner(
        id=4,
        description="build-04",
        executor=executor,
        releases=((0.0, version),),
        **(runner or {}),
    )
    pipeline = Pipeline(
        project=project, source="push", ref="main", is_tag=False, sha="c0ffee" * 6 + "cafe",
        created=START - 2000,
    )  # fmt: skip
    job = Job(
        project=project, pipeline=pipeline, runner=machine, created=START - 2000, ready=START,
        queued=START, started=START, finished=START + 60_000, waiting="created", status="success",
        template=Template(name="unit", stage="test", image=hub("golang", "1.24"), steps=steps),
        mishap=mishap, failure_kind=failure_kind, id=100, version=version,
    )  # fmt: skip
    plan = Plan(
        job=job, rng=dice("test"), version=version, day=job.day,
        main=main or _need(hub("golang", "1.24")), names_no_image=False, services=services,
        helper=None, default_helper=None, preparation_retries=0,
        habits=Adoption(route="hub", since=0, legacy_since=10**7, pinned_since=None),
        timestamps=machine.timestamps(version), loses_container=False,
    )  # fmt: skip
    return narrate(replace(plan, **plan_changes), 0)


@pytest.fixture
def tell() -> Callable[..., tuple[bytes, tuple[Planted, ...]]]:
    """Return a function that tells one job with `golang:1.24`: its trace and its truth."""
    return _tell
