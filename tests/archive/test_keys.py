"""Where GitLab keeps logs: places told from other places, projects found by their hashes."""

from __future__ import annotations

import datetime as dt

import pytest

from logminer.archive.keys import Key, Projects, jobs_of, key_of, project_of

ONE = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
TWO = "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"
"""SHA-256 of "1" and "2", as every other implementation has them."""
DAY = dt.date(2026, 9, 14)
SHARED = "/var/opt/gitlab/gitlab-rails/shared/artifacts"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            f"{SHARED}/6b/86/{ONE}/2026_09_14/7/9/job.log",
            Key(job_id=7, project=ONE, day=DAY, artifact_id=9, packed=""),
        ),
        (
            f"s3://artifacts/6b/86/{ONE}/2026_09_14/7/9/job.log.zst",
            Key(job_id=7, project=ONE, day=DAY, artifact_id=9, packed=".zst"),
        ),
        (
            f"6b/86/{ONE}/2026_09_14/7/9/job.log.gz",
            Key(job_id=7, project=ONE, day=DAY, artifact_id=9, packed=".gz"),
        ),
        (
            "/var/opt/gitlab/gitlab-ci/builds/2026_09/81/14000000007.log",
            Key(
                job_id=14_000_000_007,
                project=81,
                day=dt.date(2026, 9, 1),
                artifact_id=0,
                packed="",
            ),
        ),
        (f"{SHARED}/6b/86/{ONE}/2026_09_14/7/9/artifacts.zip", None),
        (f"{SHARED}/6b/86/{ONE}/2026_09_14/7/9/job.log.bak", None),
        (f"{SHARED}/6b/86/{ONE}/2026_09_14/7/9/job.log\n", None),
        (f"{SHARED}/6b/87/{ONE}/2026_09_14/7/9/job.log", None),
        (f"{SHARED}/x6b/86/{ONE}/2026_09_14/7/9/job.log", None),
        (f"{SHARED}/6b/86/{ONE}/2026_13_14/7/9/job.log", None),
        (f"{SHARED}/6b/86/{ONE}/2026_09_14/{'7' * 19}/9/job.log", None),
        (f"{SHARED}/6b/86/{ONE}/2026_09_14/\N{ARABIC-INDIC DIGIT SEVEN}/9/job.log", None),
        ("/builds/2026_00/81/7.log", None),
        ("/builds/2026_09/shop/7.log", None),
        ("/home/me/job.log", None),
        ("", None),
    ],
)
def test_places(path: str, expected: Key | None) -> None:
    """A place is a log's only if every part of it is as GitLab writes it."""
    assert key_of(path) == expected


def test_directories() -> None:
    """A project's directory and one of its days are known as what they are."""
    project = f"{SHARED}/6b/86/{ONE}"

    assert project_of(project) == ONE
    assert project_of(f"{project}/2026_09_14") is None
    assert jobs_of(f"{project}/2026_09_14") == (ONE, DAY)
    assert jobs_of(f"{project}/2026_02_30") is None
    assert jobs_of(project) is None


def test_rank() -> None:
    """Of several logs of a job the newest artifact counts, and of its forms the plain one."""
    folder = f"6b/86/{ONE}/2026_09_14/7"
    places = [f"{folder}/9/job.log", f"{folder}/10/job.log.gz", f"{folder}/10/job.log"]
    best = min((key.rank, place) for place in places if (key := key_of(place)))

    assert best[1] == f"{folder}/10/job.log"


def test_projects_by_hashing() -> None:
    """A project nobody told of is found by trying ids, up to the highest and no further."""
    assert Projects([], up_to=2).find(TWO) == 2
    assert Projects([], up_to=1).find(TWO) is None
    far = "f9ff9e3b4c27c7b3ffe1fc8f3d0b3a5d8a4d5d7d"  # no hash at all
    assert Projects([], up_to=10_000).find(far + "0" * 24) is None


def test_projects_that_are_expected() -> None:
    """What is expected needs no trying, and what may be is asked for once, when it is needed."""
    asked = 0

    def more() -> list[int]:
        nonlocal asked
        asked += 1
        return [2]

    projects = Projects([1], more, up_to=1)

    assert projects.find(ONE) == 1
    assert asked == 0
    assert projects.find(TWO) == 2
    assert projects.find("0" * 64) is None
    assert asked == 1
