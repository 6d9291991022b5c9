"""A small company on loopback whose repositories are read for real; each test may have its own."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from logminer.gitlab import Settings, discover
from logminer.simulator import Company, Server, serve
from logminer.snapshot import SnapshotTally, take_inventory
from logminer.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TODAY = dt.date(2026, 11, 23)
TRUTH = (*("path", "line", "kind", "name", "role", "image", "resolved", "resolution", "variables"),)
Rows = Counter[tuple[Any, ...]]


@pytest.fixture
def company() -> Company:
    """A company of the test's own, with a project of each kind."""
    return Company.generate(seed=7, today=TODAY, days=40, projects=14, jobs=5)


@pytest.fixture
def server(company: Company) -> Iterator[Server]:
    """The company's GitLab."""
    with serve(company) as running:
        yield running


@pytest.fixture
def settings(server: Server) -> Settings:
    """How the server is reached."""
    return Settings(url=server.url, token=server.token)


@pytest.fixture
def run(settings: Settings) -> Callable[..., SnapshotTally]:
    """Take the inventory of everything that the server has into a store."""

    def take(path: Path | str, **more: Any) -> SnapshotTally:  # noqa: ANN401 -- what take_inventory has
        found = discover(settings, everything=True, sizes=True)
        return take_inventory(Store.create(path), settings, found, **more)

    return take


@pytest.fixture(scope="session")
def rows_of() -> Callable[[pd.DataFrame, int], Rows]:
    """What a frame says of a project, gaps left out, in the columns of the truth."""

    def known(value: Any) -> Any:  # noqa: ANN401 -- a cell
        if isinstance(value, str) or value is None:
            return value
        if hasattr(value, "__len__"):
            return tuple(value)
        return None if pd.isna(value) else value

    def of(frame: pd.DataFrame, project_id: int) -> Rows:
        mine = frame[
            (frame["project_id"] == project_id) & ~frame["resolution"].isin(["unread", "empty"])
        ]
        return Counter(tuple(known(row[name]) for name in TRUTH) for row in mine.to_dict("records"))

    return of


@pytest.fixture(scope="session")
def truth_of() -> Callable[[Company, int], Rows]:
    """What was planted in a project, in the same columns."""

    def of(company: Company, project_id: int) -> Rows:
        planted = company.declared(project_id)
        return Counter(tuple(getattr(each, name) for name in TRUTH) for each in planted)

    return of
