"""A small company on loopback, harvested for real; each test may have its own."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from logminer.gitlab import Settings, discover
from logminer.harvest import Options, Tally, harvest
from logminer.simulator import Company, Server, serve
from logminer.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TODAY = dt.date(2026, 11, 23)


@pytest.fixture(scope="session")
def company() -> Company:
    """A company of ninety days; read only."""
    return Company.generate(seed=7, today=TODAY, days=90, projects=40, jobs=400)


@pytest.fixture(scope="session")
def server(company: Company) -> Iterator[Server]:
    """The company's GitLab."""
    with serve(company) as running:
        yield running


@pytest.fixture(scope="session")
def run() -> Callable[..., Tally]:
    """Harvest everything that a server has into a store."""

    def harvest_all(server: Server, path: Path, options: Options | None = None) -> Tally:
        settings = Settings(url=server.url, token=server.token)
        projects = discover(settings, everything=True)
        return harvest(Store.create(path), settings, projects, options=options)

    return harvest_all
