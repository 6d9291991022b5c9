"""An archive as GitLab lays one out, from a small company's logs; places are computed here anew."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import logminer
from logminer.archive import Options, mine
from logminer.gitlab import Settings, discover
from logminer.harvest import harvest
from logminer.model import Job
from logminer.simulator import Company, serve
from logminer.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logminer.archive import Tally
    from logminer.simulator import Server

TODAY = dt.date(2026, 11, 23)
NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
INSTANCE = "gitlab.example.com"
GOLDEN = "docker-13.4-digest.log"


def place(  # noqa: PLR0913 -- the parts of a place
    root: Path,
    job_id: int,
    content: bytes,
    *,
    project: int = 1,
    day: str = "2026_09_14",
    artifact: int | None = None,
    name: str = "job.log",
) -> Path:
    """Put a log where GitLab archives it, and return its path."""
    hashed = hashlib.sha256(str(project).encode()).hexdigest()
    folder = root / hashed[:2] / hashed[2:4] / hashed / day / str(job_id)
    path = folder / str(artifact if artifact is not None else job_id + 1000) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(scope="session")
def put() -> Callable[..., Path]:
    """Put a log where GitLab archives it, and return its path."""
    return place


@pytest.fixture(scope="session")
def company() -> Company:
    """A company of a few weeks; read only."""
    return Company.generate(seed=7, today=TODAY, days=40, projects=12, jobs=160)


@pytest.fixture(scope="session")
def server(company: Company) -> Iterator[Server]:
    """The company's GitLab."""
    with serve(company) as running:
        yield running


@pytest.fixture(scope="session")
def harvested(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with everything in it that the server has; read only."""
    path = tmp_path_factory.mktemp("harvested") / "store"
    settings = Settings(url=server.url, token=server.token)
    harvest(Store.create(path), settings, discover(settings, everything=True))
    return path


@pytest.fixture(scope="session")
def archive(company: Company, harvested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every log that a harvest can read, and other artifacts beside them; read only."""
    root = tmp_path_factory.mktemp("archive")
    jobs = logminer.open(harvested).jobs()
    for job_id, project, state in zip(
        jobs["job_id"], jobs["project_id"], jobs["trace_state"], strict=True
    ):
        if state == "ok":
            day = f"2026_09_{job_id % 28 + 1:02}"
            place(root, job_id, company.trace(int(job_id)), project=project, day=day)
        elif state == "erased":
            place(root, job_id, b"PK", project=project, name="artifacts.zip")
    return root


@pytest.fixture
def dig(tmp_path: Path) -> Callable[..., Tally]:
    """Mine an archive into a store; `at` is the store's name, the rest are options."""

    def dig_it(
        *paths: Path | str,
        at: str = "store",
        instance: str = INSTANCE,
        now: dt.datetime = NOW,
        **options: object,
    ) -> Tally:
        return mine(
            Store.create(tmp_path / at),
            [str(path) for path in paths],
            instance=instance,
            options=Options(**options),  # type: ignore[arg-type]  # whatever the test says
            now=now,
        )

    return dig_it


@pytest.fixture(scope="session")
def packed() -> Callable[[bytes, str], bytes]:
    """Compress bytes: gzip or zstd."""

    def pack(content: bytes, codec: str) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(content)
        return bytes(sink.getvalue())

    return pack


@pytest.fixture(scope="session")
def log() -> bytes:
    """A small log of a docker executor."""
    return (Path(__file__).parents[1] / "traces" / GOLDEN).read_bytes()


@pytest.fixture(scope="session")
def make_job() -> Callable[..., Job]:
    """Make a job of project 1 that has ended."""

    def make(job_id: int, **changes: object) -> Job:
        values: dict[str, Any] = {
            **dict.fromkeys(Job.__struct_fields__),
            "id": job_id,
            "project_id": 1,
            "project_path": "shop/api",
            "name": "unit",
            "stage": "test",
            "ref_is_tag": False,
            "status": "success",
            "created_at": dt.datetime(2026, 9, 14, 8, 0, tzinfo=dt.UTC),
            "started_at": dt.datetime(2026, 9, 14, 8, 1, tzinfo=dt.UTC),
            "tag_list": (),
        }
        return Job(**values | changes)

    return make
