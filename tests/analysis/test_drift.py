"""Declared against pulled: frames small enough to see the answer, and a company's own truth."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from logminer.analysis import drift
from logminer.analysis.drift import values_of
from logminer.gitlab import Settings, discover
from logminer.harvest import harvest
from logminer.simulator import Company, serve
from logminer.simulator.configuration import AUDIT, SETTINGS
from logminer.snapshot import take_inventory
from logminer.store import Store, open_store
from logminer.store.schema import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
PROXY = "gitlab.example.com/acme/dependency_proxy/containers"


def image(registry: str, repository: str, tag: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- a cell
    """Return the normalised columns of an image."""
    return {
        "registry": registry,
        "repository": repository,
        "tag": tag,
        "reference": f"{registry}/{repository}:{tag}",
        "image": f"{registry}/{repository}:{tag}",
        **more,
    }


ALPINE = image("docker.io", "library/alpine", "3.20")
PROXIED = image(
    "gitlab.example.com", "acme/dependency_proxy/containers/alpine", "3.20", via="dependency_proxy",
    upstream_registry="docker.io", upstream_repository="library/alpine",
)  # fmt: skip
TOOL = image("ghcr.io", "acme/tool", "1")


def used(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """Return image uses; jobs count from 1 unless told otherwise."""
    usual = dict.fromkeys(schema("images").names) | {
        "instance": "gl", "project_id": 1, "job_name": "unit", "job_url": "http://gl/jobs/1",
        "pipeline_source": "push", "created_at": NOON, "started_at": NOON, "ordinal": 1,
        "role": "job", "outcome": "pulled", "line": 7,
    }  # fmt: skip
    return pd.DataFrame([usual | {"job_id": job} | dict(row) for job, row in enumerate(rows, 1)])


def declared(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """Return declarations of one day."""
    usual = dict.fromkeys(schema("declared").names) | {
        "instance": "gl", "project_id": 1, "kind": "ci", "name": "unit", "role": "job",
        "resolution": "literal", "date": dt.date(2026, 11, 19), "file_url": "http://gl/file#L1",
    }  # fmt: skip
    return pd.DataFrame([usual | dict(row) for row in rows])


def records(frame: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Return some columns, row by row, with None for what is missing."""
    known = frame[list(names)].astype(object)
    return [tuple(row) for row in known.where(known.notna(), None).to_numpy()]


def test_declared_and_pulled_are_the_same_reference_of_one_project() -> None:
    """Counted over projects; what another project pulls is none of it."""
    frames = (
        used(ALPINE, ALPINE | {"outcome": "present"}, ALPINE | {"project_id": 2}),
        declared(ALPINE, ALPINE | {"name": "lint"}, TOOL, {"project_id": 2} | TOOL),
    )

    counts = ("projects", "jobs", "uses", "pulls", "declarations")
    found = drift.pulled_as_declared(frames)

    assert records(found, "reference", *counts) == [
        ("docker.io/library/alpine:3.20", 1, 2, 2, 1, 2)
    ]
    assert records(found, "file_url", "log_url") == [("http://gl/file#L1", "http://gl/jobs/1#L7")]


def test_what_is_never_pulled_may_have_been_asked_for_in_vain() -> None:
    """Or be had by others; a use that only was declared or failed is no pull."""
    frames = (
        used(
            TOOL | {"outcome": "failed"},
            TOOL | {"outcome": "rejected"},
            TOOL | {"project_id": 2},
            ALPINE,
        ),
        declared(TOOL, TOOL | {"kind": "dockerfile"}, ALPINE),
    )

    assert records(
        drift.never_pulled(frames), "reference", "kinds", "jobs", "declarations", "elsewhere"
    ) == [("ghcr.io/acme/tool:1", "ci dockerfile", 2, 2, 1)]


@pytest.mark.parametrize(
    ("use", "cause"),
    [
        ({"role": "script"}, "script"),
        ({"role": "build"}, "script"),
        ({"role": "helper"}, "runner"),
        ({"job_name": "links"}, "runner"),
        ({"job_name": "links", "pipeline_source": "parent_pipeline"}, "template"),
        ({"job_name": "links", "role": "service"}, "template"),
        ({}, "commit"),
        ({"job_name": "unit 2/5"}, "commit"),
        ({"job_name": "deploy"}, "variable"),
    ],
)
def test_why_something_is_pulled_that_nobody_declares(use: dict[str, Any], cause: str) -> None:
    """By the role, and by what is declared of the job."""
    written = {
        "name": "deploy", "image": "$REGISTRY/tool:1", "resolution": "unresolved",
    }  # fmt: skip
    frames = (used(TOOL | use), declared(ALPINE, written))

    assert records(drift.never_declared(frames), "reference", "cause") == [
        ("ghcr.io/acme/tool:1", cause)
    ]


def test_where_configuration_was_not_read_an_unknown_job_may_be_a_templates() -> None:
    """The gap's line is what explains it; a project without an inventory is left out."""
    gap = {"resolution": "unread", "role": None, "name": None, "file_url": "http://gl/gap"}
    frames = (used(TOOL | {"job_name": "links"}, TOOL | {"project_id": 2}), declared(gap))

    assert records(drift.never_declared(frames), "cause", "projects", "file_url") == [
        ("template", 1, "http://gl/gap")
    ]
    assert records(drift.coverage(frames), "projects", "without_inventory", "gaps") == [(1, 1, 1)]


def test_a_tag_that_moves_shows_its_first_and_last_digest() -> None:
    """In the order of time; one digest is no move."""
    later = {"started_at": NOON + dt.timedelta(hours=1), "digest": OTHER}
    frames = (
        used(ALPINE | later, ALPINE | {"digest": DIGEST}, TOOL | {"digest": DIGEST}),
        declared(ALPINE, TOOL),
    )

    assert records(
        drift.moving_tags(frames), "reference", "digests", "first_digest", "last_digest"
    ) == [("docker.io/library/alpine:3.20", 2, DIGEST, OTHER)]


@pytest.mark.parametrize(
    ("said", "got", "ways"),
    [
        (ALPINE, PROXIED, [("directly", "dependency_proxy")]),
        (PROXIED, ALPINE, [("dependency_proxy", "directly")]),
        (ALPINE, ALPINE, []),
        (ALPINE, TOOL, []),
    ],
)
def test_an_image_that_came_another_way(
    said: dict[str, Any], got: dict[str, Any], ways: list[tuple[str, str]]
) -> None:
    """Through a proxy or not; the same image by its upstream."""
    found = drift.detours((used(got), declared(said)))

    assert records(found, "declared_via", "pulled_via") == ways
    assert set(found["source"]) <= {"docker.io/library/alpine:3.20"}


def test_what_unresolved_declarations_became() -> None:
    """By job, role and text; what no log shows has a row of its own."""
    written = {"image": "$REGISTRY/tool:$TAG", "resolution": "unresolved"}
    frames = (
        used(TOOL | {"image": "ghcr.io/acme/tool:1"}, TOOL | {"job_name": "other"}),
        declared(written, written | {"name": "never", "image": "${GONE}"}),
    )

    assert records(drift.became(frames), "image", "pulled", "variables", "jobs") == [
        ("$REGISTRY/tool:$TAG", "ghcr.io/acme/tool:1", "REGISTRY=ghcr.io/acme TAG=1", 1),
        ("${GONE}", None, None, 0),
    ]


TEXT = str(pd.Series(["a"]).dtype)
LAST = {"file_url": TEXT, "log_url": TEXT}
USED = dict.fromkeys(("projects", "jobs", "uses", "pulls"), "int64")
TYPES: dict[str, tuple[Any, dict[str, str]]] = {
    "coverage": (
        drift.coverage,
        dict.fromkeys(
            ("projects", "without_inventory", "declarations", "unresolved", "gaps"), "int64"
        ),
    ),
    "pulled_as_declared": (
        drift.pulled_as_declared,
        {"reference": TEXT, **USED, "declarations": "int64", **LAST},
    ),
    "never_pulled": (
        drift.never_pulled,
        {
            "reference": TEXT,
            "kinds": TEXT,
            **dict.fromkeys(("projects", "jobs", "declarations", "elsewhere"), "int64"),
            **LAST,
        },
    ),
    "never_declared": (drift.never_declared, {"reference": TEXT, "cause": TEXT, **USED, **LAST}),
    "moving_tags": (
        drift.moving_tags,
        {
            "reference": TEXT,
            "digests": "int64",
            "first_digest": TEXT,
            "last_digest": TEXT,
            **USED,
            **LAST,
        },
    ),
    "detours": (
        drift.detours,
        {**dict.fromkeys(("source", "declared_via", "pulled_via"), TEXT), **USED, **LAST},
    ),
    "became": (
        drift.became,
        {**dict.fromkeys(("image", "pulled", "reference", "variables"), TEXT), **USED, **LAST},
    ),
}


@pytest.mark.parametrize(("verb", "types"), TYPES.values(), ids=TYPES)
def test_no_rows_keep_their_types(verb: Any, types: dict[str, str]) -> None:  # noqa: ANN401 -- a verb
    """An answer has its columns and types, whether it has rows, none, or nulls alone."""
    unresolved = {"image": "$IMAGE", "name": "never", "resolution": "unresolved"}
    frames = (
        used(
            ALPINE | {"digest": DIGEST},
            ALPINE | {"digest": OTHER},
            PROXIED,
            TOOL | {"project_id": 2},
        ),
        declared(ALPINE, TOOL, unresolved, ALPINE | {"project_id": 2}),
    )
    full = verb(frames)

    assert len(full)
    assert types == {name: str(kind) for name, kind in full.dtypes.items()}
    empty = verb(tuple(frame.iloc[:0] for frame in frames))
    assert types == {name: str(kind) for name, kind in empty.dtypes.items()}


def test_every_verb_has_its_types() -> None:
    """A verb that is added to the module is pinned here, too."""
    assert set(TYPES) == {name for name, each in vars(drift).items() if hasattr(each, "rows")}


@pytest.mark.parametrize(
    ("written", "pulled", "values"),
    [
        ("$A", "alpine", "A=alpine"),
        ("${A}/x:${B:-1}", "r/x:2", "A=r B=2"),
        ("$A/$B", "r/x/y", "A=? B=?"),
        ("$A-$A", "x-x", "A=x"),
        ("$A-$A", "x-y", "A=?"),
        ("a.c:$T", "abc:1", None),
        ("$A", None, None),
        ("$A$B$C$D$E$F", "x" * 90, "A=? B=? C=? D=? E=? F=?"),
    ],
)
def test_values_are_said_only_where_there_is_one(
    written: str, pulled: str | None, values: str | None
) -> None:
    """Never guessed: where more than one would fit, none is said."""
    assert values_of(written, pulled) == values


def test_the_snapshot_of_the_time_is_compared() -> None:
    """The newest up to its end; where the first one is younger, that one."""
    snapshots = declared(
        ALPINE | {"date": dt.date(2026, 11, 18)},
        TOOL | {"date": dt.date(2026, 11, 25)},
        TOOL | {"project_id": 2, "date": dt.date(2026, 11, 26)},
    )
    frames = (used(ALPINE), snapshots)

    def names(**when: Any) -> set[str]:  # noqa: ANN401 -- of When
        return set(drift.never_pulled(frames, **when)["reference"]) | set(
            drift.pulled_as_declared(frames, **when)["reference"]
        )

    assert names(until="2026-11-21") == {ALPINE["reference"], TOOL["reference"]}
    assert drift.coverage(frames, until="2026-11-21")["declarations"].item() == 2
    assert set(drift.pulled_as_declared(frames, until="2026-11-21")["reference"]) == {
        ALPINE["reference"]
    }
    assert drift.pulled_as_declared(frames).empty


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A company of which everything is harvested and inventoried, over real sockets."""
    company = Company.generate(
        seed=7, today=dt.date(2026, 11, 23), days=40, projects=24, jobs=500, median_trace_bytes=300
    )
    path = tmp_path_factory.mktemp("drift") / "date=2020-01-01"  # a path that looks like a day's
    with serve(company) as server:
        settings = Settings(url=server.url, token=server.token)
        found = discover(settings, everything=True, sizes=True)
        harvest(Store.create(path), settings, found)
        take_inventory(Store.create(path), settings, found)
    return open_store(path)


def test_a_store_and_its_frames_give_the_same_answer(store: Store) -> None:
    """Whichever of the two is asked; and every answer has its types without a row."""
    frames = (store.images(), store.declared())
    for verb in (drift.pulled_as_declared, drift.never_declared, drift.became, drift.coverage):
        pd.testing.assert_frame_equal(verb(store), verb(frames))


def test_the_company_drifts_as_it_was_planted(store: Store) -> None:
    """Settings that no file says, an audit nobody runs, runners' own images, scripts."""
    became = drift.became(store).dropna(subset=["pulled"])
    known = {
        f"{name}={value}" for name, value in SETTINGS.items()
    }  # the truth of the simulator, in our spelling
    causes = drift.never_declared(store).set_index("reference")["cause"]

    assert set(became["variables"]) == known
    assert AUDIT in set(drift.never_pulled(store)["reference"])
    assert causes["docker.io/library/alpine:3.20"] == "runner"
    assert {"runner", "script", "variable"} <= set(causes)
    assert not set(drift.pulled_as_declared(store)["reference"]) & set(
        drift.never_pulled(store, limit=1)["reference"]
    )


def test_projects_that_lag_behind_declare_directly_what_came_by_the_proxy(store: Store) -> None:
    """One in eleven names on its default branch what it named before it went behind a proxy."""
    found = drift.detours(store)

    assert "directly" in set(found["declared_via"])
    assert set(found["pulled_via"]) - {"directly"} <= {"dependency_proxy", "virtual_registry"}


def test_no_inventory_is_no_answer_of_nothing(tmp_path: Any) -> None:  # noqa: ANN401 -- a path
    """An empty store has every column, and says that it speaks for no project."""
    empty = Store.create(tmp_path / "store")

    assert drift.coverage(empty)["projects"].item() == 0
    assert list(drift.became(empty).columns) == list(
        drift.became((used(TOOL), declared(ALPINE))).columns
    )
