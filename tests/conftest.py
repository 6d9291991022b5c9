"""What tests of several rooms share: values to start from, and a look at a store's bytes."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from logminer.model import (
    Depth,
    Harvested,
    ImageUse,
    Job,
    Origin,
    Outcome,
    Project,
    Role,
    TraceState,
    TraceSummary,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obstore.store import ObjectStore

PROJECT = Project(id=7, path="shop/api")
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class S3:
    """An S3 server on loopback, in a process of its own."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_REGION": "us-east-1",
        }

    def bucket(self) -> str:
        """Make a new bucket and return its name."""
        name = f"bucket-{next(_NUMBERS)}"
        self._ask("PUT", f"/{name}", b"")
        return name

    def answer(self, *answers: dict[str, Any]) -> None:
        """Answer with these errors; without any, as it should."""
        self._ask("PUT", "/-/answers", json.dumps(answers).encode())

    def requests(self) -> list[tuple[str, str, str]]:
        """Return the method, the path and the condition of everything that was asked so far."""
        return [tuple(each) for each in json.loads(self._ask("GET", "/-/requests"))]

    def count(self) -> int:
        """Return how many requests there were so far."""
        return int(self._ask("GET", "/-/count"))

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Return everything in a bucket, behind the store's back."""
        import obstore  # noqa: PLC0415 -- only these tests need it

        store = self.client(bucket)
        names = [entry["path"] for chunk in obstore.list(store) for entry in chunk]
        return {name: bytes(obstore.get(store, name).bytes()) for name in sorted(names)}

    def client(self, bucket: str) -> ObjectStore:
        """Return a bare client of a bucket."""
        from obstore.store import S3Store  # noqa: PLC0415 -- as above

        return S3Store(
            bucket,
            endpoint=self.url,
            access_key_id="other",
            secret_access_key="other",  # noqa: S106 -- opens nothing
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(  # noqa: S310 -- our own
            self.url + path, data=body, method=method
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 -- our own
            content: bytes = answer.read()
        return content


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server; each test takes a bucket of its own."""
    with subprocess.Popen(  # noqa: S603 -- our own interpreter, our own script
        [sys.executable, str(Path(__file__).with_name("s3.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.defpath},
    ) as process:
        assert process.stdout is not None
        yield S3(process.stdout.readline().strip())
        process.terminate()


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Every file below a directory, with a digest of its bytes."""

    def of(directory: Path) -> dict[str, str]:
        return {
            str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }

    return of


@pytest.fixture(scope="session")
def project() -> Project:
    """Return the project of every job made here."""
    return PROJECT


@pytest.fixture(scope="session")
def make_job() -> Callable[..., Job]:
    """Return a function that makes a job from what matters to the test."""
    return _job


@pytest.fixture(scope="session")
def make_use() -> Callable[..., ImageUse]:
    """Return a function that makes an image use from what matters to the test."""
    return _use


@pytest.fixture(scope="session")
def make_harvested() -> Callable[..., Harvested]:
    """Return a function that makes an outcome with so many uses, on a day of September 2026."""
    return _harvested


def _job(job_id: int, **changes: Any) -> Job:  # noqa: ANN401 -- any field of a job
    values: dict[str, Any] = {
        "project_id": PROJECT.id,
        "project_path": PROJECT.path,
        "pipeline_id": 70,
        "id": job_id,
        "name": "unit",
        "stage": "test",
        "ref": "main",
        "ref_is_tag": False,
        "status": "success",
        "failure_reason": None,
        "created_at": dt.datetime(2026, 9, 14, 8, 0, tzinfo=dt.UTC),
        "started_at": dt.datetime(2026, 9, 14, 8, 1, tzinfo=dt.UTC),
        "finished_at": dt.datetime(2026, 9, 14, 8, 2, tzinfo=dt.UTC),
        "erased_at": None,
        "queued_duration": 1.5,
        "duration": 60.25,
        "runner_id": 3,
        "runner_description": "shared",
        "tag_list": ("docker",),
        "url": f"https://gitlab.example.com/shop/api/-/jobs/{job_id}",
        "trace_size": 1000,
        "pipeline_source": "schedule",
    }
    return Job(**values | changes)


def _use(ordinal: int, **changes: Any) -> ImageUse:  # noqa: ANN401 -- any field of an image use
    values: dict[str, Any] = {
        "ordinal": ordinal,
        "role": Role.JOB,
        "origin": Origin.RUNNER,
        "outcome": Outcome.PULLED,
        "downloaded": None,
        "pull_policy": "always",
        "pull_attempts": 1,
        "credentials": None,
        "platform": None,
        "error_kind": None,
        "error_message": None,
        "seen_at": None,
        "image": "python:3.12",
        "registry": "docker.io",
        "repository": "library/python",
        "tag": "3.12",
        "digest": "sha256:" + "a" * 64,
        "image_id": None,
        "reference": "docker.io/library/python:3.12",
        "via": None,
        "upstream_registry": None,
        "upstream_repository": None,
        "rule": "D8",
        "section": "prepare_executor",
        "line": 5,
        "offset": 400,
    }
    return ImageUse(**values | changes)


def _harvested(job_id: int, *, day: int = 14, uses: int = 1, **changes: Any) -> Harvested:  # noqa: ANN401 -- any field of a job
    started = dt.datetime(2026, 9, day, 8, 1, tzinfo=dt.UTC)
    return Harvested(
        instance="gitlab.example.com",
        job=_job(job_id, started_at=started, **changes),
        state=TraceState.OK,
        depth=Depth.FULL,
        summary=TraceSummary(
            runner_version="17.4.0",
            executor="docker",
            recognised=True,
            truncated=False,
            bytes=1000,
            lines=40,
            cut_lines=0,
        ),
        uses=tuple(_use(ordinal) for ordinal in range(1, uses + 1)),
        extractor_version="1",
        harvested_at=dt.datetime(2026, 9, 30, 2, 0, tzinfo=dt.UTC),
    )
