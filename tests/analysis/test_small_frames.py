"""The verbs about change, tags, proxies and dependence: a few rows, and the answer beside them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from logminer import analysis
from logminer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    MakeFrame: TypeAlias = Callable[..., pd.DataFrame]

TEXT = pd.Series(["a"]).dtype
"""What pandas calls text: `object` before version 3, `str` since."""

NODE = {"repository": "library/node"}
PROXIED = {
    "registry": "gitlab.example.com",
    "repository": "acme/dependency_proxy/containers/alpine",
    "via": "dependency_proxy",
    "upstream_registry": "docker.io",
    "upstream_repository": "library/alpine",
}
API = {"project_id": 2, "project_path": "shop/api"}


def at(day: int, hour: int = 0, month: int = 7) -> dt.datetime:
    """Return an hour of 2026 in UTC."""
    return dt.datetime(2026, month, day, hour, tzinfo=dt.UTC)


def on(day: int, hour: int = 0, month: int = 7) -> dict[str, dt.datetime]:
    """Return when a job was."""
    return {"started_at": at(day, hour, month)}


def moments(*each: dt.datetime | None) -> pd.Series[pd.Timestamp]:
    """Return a column of moments as the verbs type it."""
    return pd.Series(list(each), dtype="datetime64[us, UTC]")


def texts(*each: str | None) -> pd.Series[str]:
    """Return a column of texts, also where none is known."""
    return pd.Series(list(each), dtype=TEXT)


def line(job: int, number: int = 7) -> str:
    """Return the address of a line that a row of the tests stands for."""
    return f"https://gitlab.example.com/-/jobs/{job}#L{number}"


def test_first_and_last_seen(images: MakeFrame) -> None:
    """Unused days are whole ones, counted up to the end of the asked time if that is past."""
    frame = images(
        on(1) | NODE,
        on(3, 5) | NODE | API | {"outcome": "used"},
        on(20),
        on(1) | {"registry": None, "repository": None},
        on(25),
    )
    expected = pd.DataFrame(
        {
            "registry": ["docker.io", "docker.io"],
            "repository": ["library/node", "library/alpine"],
            "uses": [2, 1],
            "pulls": [1, 1],
            "projects": [2, 1],
            "first_seen": moments(at(1), at(20)),
            "last_seen": moments(at(3, 5), at(20)),
            "unused_days": [17, 1],
            "evidence": [line(2), line(3)],
        }
    )
    when = analysis.When(until="2026-07-21", now=at(1, month=9))

    assert_frame_equal(expected, analysis.first_and_last_seen(frame, **when))
    assert_frame_equal(expected.head(1), analysis.first_and_last_seen(frame, unused_for=17, **when))
    assert analysis.first_and_last_seen(frame, unused_for=18, **when).empty


def test_new_and_gone(images: MakeFrame) -> None:
    """What is used in both periods, or in neither, has no row."""
    frame = images(
        on(1),
        on(30, month=6),
        on(2) | {"repository": "new"},
        on(4) | {"repository": "new", "outcome": "failed"} | API,
        on(5) | {"repository": "newer"},
        on(1, month=6) | {"repository": "gone"},
        on(31, month=5) | {"repository": "long gone"},
        on(1, month=8) | {"repository": "to come"},
        on(2) | {"registry": None, "repository": None},
    )
    expected = pd.DataFrame(
        {
            "change": ["new", "new", "gone"],
            "registry": ["docker.io"] * 3,
            "repository": ["new", "newer", "gone"],
            "uses": [2, 1, 1],
            "pulls": [1, 1, 1],
            "projects": [2, 1, 1],
            "first_seen": moments(at(2), at(5), at(1, month=6)),
            "last_seen": moments(at(4), at(5), at(1, month=6)),
            "evidence": [line(4), line(5), line(6)],
        }
    )

    assert_frame_equal(expected, analysis.new_and_gone(frame, period="2026-07"))


def test_a_period_further_back(images: MakeFrame) -> None:
    """What lies between the two periods counts for neither."""
    frame = images(on(1), on(15, month=6), on(15, month=6) | NODE, on(1, month=5) | NODE)

    changed = analysis.new_and_gone(frame, period="2026-07", before="2026-05")

    assert list(zip(changed["change"], changed["repository"], strict=True)) == [
        ("new", "library/alpine"),
        ("gone", "library/node"),
    ]


def test_gaps(jobs: MakeFrame) -> None:
    """A log may be doubtful in two ways; the reasons stand in their order, doubts before losses."""
    unknown = {"executor": None, "recognised": None, "truncated": None, "images": 0}
    frame = jobs(
        on(9) | {"trace_state": "missing"} | unknown,
        on(1) | {"recognised": False, "truncated": True, "runner_version": "18.1.0"},
        on(2) | {"images": 0, "executor": "kubernetes"},
        on(3) | {"trace_state": "erased"} | unknown,
        on(4) | {"trace_state": "erased"} | unknown,
        on(5) | {"depth": "prepare"},
        on(6),
    )
    expected = pd.DataFrame(
        {
            "gap": [
                *("not_understood", "without_image", "truncated", "prepare_only"),
                *("erased", "missing"),
            ],
            "executor": ["docker", "kubernetes", "docker", "docker", None, None],
            "runner_version": ["18.1.0", None, "18.1.0", None, None, None],
            "jobs": [1, 1, 1, 1, 2, 1],
            "first_seen": moments(at(1), at(2), at(1), at(5), at(3), at(9)),
            "last_seen": moments(at(1), at(2), at(1), at(5), at(4), at(9)),
            "evidence": [line(job).partition("#")[0] for job in (2, 3, 2, 6, 5, 1)],
        }
    )

    assert_frame_equal(expected, analysis.gaps(frame))


def test_unpinned(images: MakeFrame) -> None:
    """A digest pins, a tag does not, `latest` least; evidence shows a use without a digest."""
    name = "docker.io/library/alpine"
    frame = images(
        {"reference": f"{name}:3", "tag": "3"},
        {"reference": f"{name}:latest", "tag": "latest"} | API,
        {"reference": name},
        {"reference": f"{name}:3@sha256:a", "tag": "3", "project_id": 3},
        {"reference": "quay.io/tool@sha256:b", "registry": "quay.io", "repository": "tool"},
        {"reference": None, "registry": None, "repository": None},
    )
    expected = pd.DataFrame(
        {
            "registry": ["docker.io", "quay.io"],
            "uses": [4, 1],
            "pinned": [1, 1],
            "tagged": [1, 0],
            "latest": [1, 0],
            "untagged": [1, 0],
            "unpinned_share": [0.75, 0.0],
            "floating_share": [0.5, 0.0],
            "projects": [2, 0],
            "evidence": [line(3), None],
        }
    )

    assert_frame_equal(expected, analysis.unpinned(frame))
    assert_frame_equal(expected.head(1), analysis.unpinned(frame, limit=1))


def test_digest_drift(images: MakeFrame) -> None:
    """A tag that moved has a row for each digest; a digest used after its successor is stale."""
    one = {"tag": "1", "reference": "docker.io/library/alpine:1"}
    frame = images(
        on(1) | one | {"digest": "sha256:a"},
        on(3) | one | {"digest": "sha256:b"} | API,
        on(4) | one | {"digest": "sha256:a"},
        on(5) | one | {"digest": "sha256:b"} | API,
        on(6) | {"tag": "2", "reference": "docker.io/library/alpine:2", "digest": "sha256:a"},
        on(7) | {"tag": "1", "reference": f"{one['reference']}@sha256:c", "digest": "sha256:c"},
        on(8) | one,
    )
    expected = pd.DataFrame(
        {
            "registry": ["docker.io"] * 2,
            "repository": ["library/alpine"] * 2,
            "tag": ["1", "1"],
            "digest": ["sha256:a", "sha256:b"],
            "digests": [2, 2],
            "first_seen": moments(at(1), at(3)),
            "last_seen": moments(at(4), at(5)),
            "replaced_at": moments(at(3), None),
            "uses": [2, 2],
            "stale_uses": [1, 0],
            "projects": [1, 1],
            "seen_by": ["shop/web", "shop/api"],
            "evidence": [line(3), line(4)],
        }
    )

    assert_frame_equal(expected, analysis.digest_drift(frame))


def test_failed_pulls_over_time(images: MakeFrame) -> None:
    """In order of time, and only where there is anything to say."""
    limited = {"error_kind": "rate_limited"}
    frame = images(
        on(1) | limited | {"outcome": "failed"},
        on(2) | limited | {"outcome": "failed"},
        on(2) | limited | {"outcome": "present"},
        on(3) | {"outcome": "failed", "error_kind": "tls", "registry": "quay.io"},
        on(4, month=9) | {"outcome": "failed", "registry": None},
        on(5),
    )
    expected = pd.DataFrame(
        {
            "start": moments(at(1), at(1), at(1, month=9)),
            "registry": ["docker.io", "quay.io", None],
            "error_kind": ["rate_limited", "tls", None],
            "failed": [2, 1, 1],
            "rescued": [1, 0, 0],
            "jobs": [3, 1, 1],
            "evidence": [line(3), line(4), line(5)],
        }
    )

    assert_frame_equal(expected, analysis.failed_pulls_over_time(frame, by="month"))


def test_docker_hub_pressure(images: MakeFrame) -> None:
    """A runner's peak looks back over the window's edge; a proxy asks once for each reference."""
    big: dict[str, object] = {"runner_id": 1, "runner_description": "big"}
    proxied = on(1, 7) | PROXIED | {"pull_attempts": 1, "runner_id": 2}
    frame = images(
        on(1, 5) | big | {"pull_attempts": 3},
        on(1, 6) | big | {"pull_attempts": 2, "outcome": "failed", "error_kind": "rate_limited"},
        on(1, 6) | big | {"pull_attempts": 1, "downloaded": False},
        on(1, 6) | big | {"pull_attempts": 0, "outcome": "present"},
        proxied | {"reference": "a:1"},
        proxied | {"reference": "a:1"} | API,
        proxied | {"reference": "a:2"},
        on(1, 6) | big | {"registry": "quay.io", "pull_attempts": 9},
    )
    expected = pd.DataFrame(
        {
            "start": moments(at(1, 6), at(1), at(1, 6)),
            "instance": ["gitlab.example.com", "gitlab.example.com", None],
            "runner": ["big #1", "big #1", None],
            "via": [None, None, "dependency_proxy"],
            "proxy": [None, None, "gitlab.example.com"],
            "pulls": [0, 1, 3],
            "requests": [2, 3, 2],
            "peak": [5, 3, 2],
            "over_100": [False] * 3,
            "over_200": [False] * 3,
            "rate_limited": [1, 0, 0],
            "jobs": [1, 1, 3],
            "projects": [1, 1, 2],
            "evidence": [line(2), line(1), line(7)],
        }
    )

    assert_frame_equal(expected, analysis.docker_hub_pressure(frame))


@pytest.mark.parametrize(
    ("attempts", "over"), [(100, (False, False)), (101, (True, False)), (201, (True, True))]
)
def test_limits_are_what_is_granted(
    attempts: int, over: tuple[bool, bool], images: MakeFrame
) -> None:
    """A hundred are within the limit of a hundred; a runner without an id is still somebody."""
    window = analysis.docker_hub_pressure(images({"pull_attempts": attempts})).iloc[0]

    assert (window["over_100"], window["over_200"]) == over
    assert window["peak"] == window["requests"] == attempts


BYPASS = [
    PROXIED,
    on(1),
    on(2) | {"outcome": "present"},
    on(3) | NODE | API,
    {"registry": "quay.io", "repository": "tool"},
    {"registry": None, "repository": None},
]


def test_proxy_bypass(images: MakeFrame) -> None:
    """Only of a registry that somebody reaches through a proxy, whichever repository it is."""
    expected = pd.DataFrame(
        {
            "registry": ["docker.io"] * 2,
            "repository": ["library/alpine", "library/node"],
            "proxies": ["dependency_proxy"] * 2,
            "instance": ["gitlab.example.com"] * 2,
            "project_id": [1, 2],
            "project_path": ["shop/web", "shop/api"],
            "direct_uses": [2, 1],
            "direct_pulls": [1, 1],
            "jobs": [2, 1],
            "proxied_uses": [1, 0],
            "first_seen": moments(at(1), at(3)),
            "last_seen": moments(at(2), at(3)),
            "evidence": [line(3), line(4)],
        }
    )

    assert_frame_equal(expected, analysis.proxy_bypass(images(*BYPASS)))
    assert_frame_equal(expected.head(1), analysis.proxy_bypass(images(*BYPASS), limit=1))


def test_bypassed(images: MakeFrame) -> None:
    """The same by repository, most direct uses first."""
    frame = images(*BYPASS, on(4) | NODE, on(5) | NODE, PROXIED | {"via": "mirror"})
    expected = pd.DataFrame(
        {
            "registry": ["docker.io"] * 2,
            "repository": ["library/node", "library/alpine"],
            "proxies": ["dependency_proxy, mirror"] * 2,
            "direct_uses": [3, 2],
            "direct_pulls": [3, 1],
            "projects": [2, 1],
            "proxied_uses": [0, 2],
        }
    )

    assert_frame_equal(expected, analysis.bypassed(frame))


def test_exposure(images: MakeFrame) -> None:
    """A row for each way to an image, job and project, under the name that was asked for."""
    build: dict[str, object] = {"job_name": "build", "pipeline_source": "schedule"}
    frame = images(
        on(1) | build | {"tag": "3", "digest": "sha256:a"},
        on(2) | build | {"tag": "3", "digest": "sha256:b", "role": "service"},
        on(3) | build | {"outcome": "failed", "pipeline_source": "push", "job_id": 2},
        on(4) | PROXIED | {"job_name": "lint"} | API,
        on(5) | NODE | {"job_name": "build"},
    )
    expected = pd.DataFrame(
        {
            "name": ["library/alpine"] * 2,
            "registry": ["docker.io"] * 2,
            "repository": ["library/alpine"] * 2,
            "via": [None, "dependency_proxy"],
            "instance": ["gitlab.example.com"] * 2,
            "project_id": [1, 2],
            "project_path": ["shop/web", "shop/api"],
            "job_name": ["build", "lint"],
            "roles": ["job, service", "job"],
            "pipeline_sources": ["push, schedule", None],
            "uses": [3, 1],
            "scheduled_uses": [2, 0],
            "pulls": [2, 1],
            "failed": [1, 0],
            "jobs": [2, 1],
            "first_seen": moments(at(1), at(4)),
            "last_seen": moments(at(3), at(4)),
            "tags": ["3, latest", "latest"],
            "digest_count": [2, 0],
            "digests": ["sha256:a, sha256:b", None],
            "evidence": [line(2), line(4)],
        }
    )

    assert_frame_equal(expected, analysis.exposure(frame, ["library/alpine"]))


def test_evidence(images: MakeFrame) -> None:
    """The newest first, exactly what fits, at most as many as asked for."""
    failed: dict[str, object] = {"outcome": "failed", "error_kind": "tls"}
    frame = images(
        on(1) | failed | {"ordinal": 1, "line": 3, "image": "alpine", "job_name": "build"},
        on(2) | failed | {"ordinal": 1, "line": 4},
        on(3) | {"ordinal": 1},
        on(4) | failed | {"ordinal": 1, "registry": "quay.io"},
    )
    expected = pd.DataFrame(
        {
            "seen": moments(at(2), at(1)),
            "instance": ["gitlab.example.com"] * 2,
            "project_path": ["shop/web"] * 2,
            "job_id": [2, 1],
            "job_name": [None, "build"],
            "pipeline_source": texts(None, None),
            "ref": texts(None, None),
            "runner_description": texts(None, None),
            "role": ["job", "job"],
            "outcome": ["failed", "failed"],
            "image": [None, "alpine"],
            "digest": texts(None, None),
            "via": texts(None, None),
            "error_kind": ["tls", "tls"],
            "error_message": texts(None, None),
            "line": [4, 3],
            "evidence": [line(2, 4), line(1, 3)],
        }
    )
    asked: dict[str, Any] = {"outcome": "failed", "registry": "docker.io"}

    assert_frame_equal(expected, analysis.evidence(frame, **asked))
    assert_frame_equal(expected.head(1), analysis.evidence(frame, limit=1, **asked))


def test_pulls_over_time_of_the_most_pulled(images: MakeFrame) -> None:
    """Each bucket has each of the most pulled groups, most pulled first, also with noughts."""
    frame = images(
        on(1) | API,
        on(1) | {"outcome": "failed"} | API,
        on(3) | API,
        on(3),
        on(3) | {"project_id": 3, "project_path": "shop/old", "outcome": "used"},
        on(4) | {"project_id": 2, "project_path": "shop/renamed", "outcome": "used"},
    )
    expected = pd.DataFrame(
        {
            "start": moments(at(1), at(1), at(2), at(2), at(3), at(3)),
            "project": ["shop/renamed", "shop/web"] * 3,
            "pulls": [1, 0, 0, 0, 1, 1],
            "failed": [1, 0, 0, 0, 0, 0],
        }
    )
    over = analysis.pulls_over_time(
        frame, split="project", limit=2, since="2026-07-01", until="2026-07-05"
    )

    assert_frame_equal(expected, over.head(6))
    assert over["start"].tolist()[6:] == [at(4), at(4)]


CHOSEN = [
    {"job_id": 4, "line": 1},
    {"job_id": 5, "line": 9},
    {"job_id": 5, "line": 8},
    {"job_id": 5, "line": 8, "instance": "a.example.com", "job_url": "https://a.example.com/5"},
    {"job_id": 6, "line": 2, "job_url": None},
]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 4, 0, 3, 1)])
def test_evidence_is_one_line_whatever_the_order(order: tuple[int, ...], images: MakeFrame) -> None:
    """Of the newest job with an address the first line; of two such, the address sorting last."""
    frame = images(*(CHOSEN[place] for place in order))
    frame["job_url"] = frame["job_url"].where(frame["job_id"] != 6)

    assert analysis.by_registry(frame)["evidence"].tolist() == [line(5, 8)]


@pytest.mark.parametrize("lacking", ["job_url", "line"])
def test_without_the_columns_there_is_no_evidence(lacking: str, images: MakeFrame) -> None:
    """A frame that lacks one of them is answered all the same."""
    answer = analysis.by_registry(images({}).drop(columns=lacking))

    assert answer["uses"].tolist() == [1]
    assert answer["evidence"].isna().all()


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        (analysis.first_and_last_seen, {"unused_for": -1}),
        (analysis.new_and_gone, {"period": "2026-07", "before": "2026-07"}),
        (analysis.new_and_gone, {"period": "soon"}),
        (analysis.unpinned, {"limit": 0}),
        (analysis.unpinned, {"split": "colour"}),
        (analysis.digest_drift, {"limit": 0}),
        (analysis.failed_pulls_over_time, {"by": "hour"}),
        (analysis.docker_hub_pressure, {"limit": 0}),
        (analysis.proxy_bypass, {"limit": 0}),
        (analysis.pulls_over_time, {"split": "colour"}),
        (analysis.pulls_over_time, {"split": "role", "limit": 0}),
        (analysis.evidence, {"limit": 0}),
        (analysis.exposure, {"names": []}),
    ],
)
def test_what_cannot_be_asked(
    verb: Callable[..., pd.DataFrame], arguments: dict[str, Any], images: MakeFrame
) -> None:
    """A wrong argument is a UsageError."""
    with pytest.raises(UsageError):
        verb(images({}), **arguments)
