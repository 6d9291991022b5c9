"""What older servers do not know, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from logminer.simulator import Behaviour, Company, Server, serve
from logminer.simulator.age import Age

Get = Callable[..., Any]
Pages = Callable[[Server, str], list[Any]]

_KEYSET = "pagination=keyset&order_by=id&sort=desc&per_page=7"


@pytest.fixture
def path(small: Company) -> str:
    """The path of the project with the most jobs."""
    readable = [each for each in small.projects if each.ci_enabled and not each.jobs_forbidden]
    busiest = max(readable, key=lambda project: len(small.jobs_of(project.id)))
    return f"/api/v4/projects/{busiest.id}"


def test_version(small: Company, get: Get) -> None:
    """The server says the version it was given."""
    with serve(small, behaviour=Behaviour(version="16.11.2")) as server:
        assert get(server, "/api/v4/version").json["version"] == "16.11.2"


@pytest.mark.parametrize("version", ["15.8.6", "15.9.0-ee"])
def test_keyset_paging_of_jobs(
    small: Company, path: str, get: Get, pages: Pages, version: str
) -> None:
    """Before 15.9 the parameters of keyset paging are ignored: offset pages, the same jobs."""
    keyset = version == "15.9.0-ee"
    with serve(small) as server:
        every = [job["id"] for job in pages(server, f"{path}/jobs?{_KEYSET}")]
        server.behaviour = Behaviour(version=version)
        first = get(server, f"{path}/jobs?{_KEYSET}")
        ids = [job["id"] for job in pages(server, f"{path}/jobs?{_KEYSET}")]

    assert ids == every
    assert len(first.json) == 7
    assert (first.headers["X-Next-Cursor"] is not None) is keyset
    assert (first.headers["X-Next-Page"] == "2") is not keyset
    assert ("page=2" in first.headers["Link"]) is not keyset


@pytest.mark.parametrize(("version", "limited"), [("16.4.0", False), ("16.5.0", True)])
def test_limit_of_the_jobs_list(
    small: Company, path: str, get: Get, version: str, *, limited: bool
) -> None:
    """The jobs list's own limit came with 16.5."""
    behaviour = Behaviour(version=version, jobs_lists_per_minute=1)
    with serve(small, behaviour=behaviour) as server:
        statuses = [get(server, f"{path}/jobs").status for _ in range(2)]

    assert statuses == [200, 429 if limited else 200]


@pytest.mark.parametrize(("version", "known"), [("16.11.0", False), ("17.0.0", True)])
def test_source_of_child_pipelines(
    small: Company, path: str, get: Get, version: str, *, known: bool
) -> None:
    """`source=parent_pipeline` came with 17.0; other sources were known before."""
    with serve(small, behaviour=Behaviour(version=version)) as server:
        children = get(server, f"{path}/pipelines?source=parent_pipeline")
        pushes = get(server, f"{path}/pipelines?source=push")

    assert pushes.status == 200
    assert children.status == (200 if known else 400)
    if not known:
        assert children.json == {"error": "source does not have a valid value"}


@pytest.mark.parametrize(("version", "always"), [("17.11.0", False), ("18.0.0", True)])
def test_limits_on_every_answer(small: Company, get: Get, version: str, *, always: bool) -> None:
    """Older servers tell the limits only when they are exceeded."""
    behaviour = Behaviour(version=version, requests_per_minute=1)
    with serve(small, behaviour=behaviour) as server:
        first, second = (get(server, "/api/v4/version") for _ in range(2))

    assert (first.headers["RateLimit-Remaining"] is not None) is always
    assert (second.status, second.headers["RateLimit-Remaining"]) == (429, "0")


def test_fields_of_a_job(small: Company, path: str, get: Get) -> None:
    """Fields that came later are absent, not null; nothing else is."""
    with serve(small) as server:
        new = get(server, f"{path}/jobs?per_page=1").json[0]
        server.behaviour = Behaviour(version="14.0.12")
        old = get(server, f"{path}/jobs?per_page=1").json[0]

    assert set(new) - set(old) == {"archived", "source", "erased_at", "runner_manager"}
    assert set(new["pipeline"]) - set(old["pipeline"]) == {"source"}
    assert all(new[name] == value for name, value in old.items() if name != "pipeline")


def test_renamed_project(small: Company, path: str, get: Get) -> None:
    """From 16.4 the old path of a project leads to its id, with the rest of what was asked."""
    project = small.project(path.rpartition("/")[2])
    assert project is not None
    small.rename(project.id, "acme/tools/renamed")
    old = project.path.replace("/", "%2F")
    with serve(small) as server:
        moved = get(server, f"/api/v4/projects/{old}/jobs?per_page=3")
        direct = get(server, f"/api/v4/projects/{old}")
        found = get(server, path).json
        server.behaviour = Behaviour(version="16.3.0")
        unknown = get(server, f"/api/v4/projects/{old}")
    target = f"{server.url}{path}/jobs?per_page=3"

    assert (moved.status, moved.headers["Location"]) == (301, target)
    assert moved.body.decode() == f"This resource has been moved permanently to {target}"
    assert direct.headers["Location"] == f"{server.url}{path}"
    assert found["path_with_namespace"] == "acme/tools/renamed"
    assert unknown.status == 404


def test_no_version() -> None:
    """What is no version is refused where it is set."""
    with pytest.raises(ValueError, match="no version of GitLab"):
        Age.of("latest")
