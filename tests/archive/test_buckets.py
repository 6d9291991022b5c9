"""Archives in buckets: the same rows as from a disk, by name, in pieces, and errors in one line."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import sys
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from obstore.store import MemoryStore

from logminer import objectstorage
from logminer.archive import Options, buckets, mine
from logminer.errors import UsageError
from logminer.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from obstore.store import ObjectStore

    from logminer.archive import Tally

    S3 = Any  # what tests/conftest.py gives; no test imports another's file
    Dig = Callable[..., Tally]
    Put = Callable[..., Path]
    Packed = Callable[[bytes, str], bytes]
    Digests = Callable[[Path], dict[str, str]]

URL = "s3://logs/archive"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A bucket in memory, which stands in for every bucket."""
    store = MemoryStore()
    monkeypatch.setattr(buckets, "_store", lambda _bucket: store)
    return store


def upload(root: Path, store: ObjectStore, prefix: str = "archive") -> None:
    """Put every file below a directory into a bucket."""
    for path in root.rglob("*"):
        if path.is_file():
            obstore.put(store, f"{prefix}/{path.relative_to(root)}", path.read_bytes())


def test_the_same_as_from_a_disk(
    archive: Path, bucket: ObjectStore, dig: Dig, tmp_path: Path, digests: Digests
) -> None:
    """A bucket gives to the byte what the same files give; a second time nothing is read."""
    upload(archive, bucket)
    here = dig(archive, at="here")
    there = dig(URL, at="there")
    again = dig(URL, at="there")

    assert there.jobs_done == here.jobs_done > 50
    assert there.others == here.without_log > 0
    assert (again.jobs_done, again.known) == (0, there.jobs_done)
    for table in ("images", "jobs"):
        assert digests(tmp_path / "there" / table) == digests(tmp_path / "here" / table)


def test_a_disk_and_a_bucket(
    put: Put, log: bytes, bucket: ObjectStore, dig: Dig, tmp_path: Path
) -> None:
    """One batch may have logs of both; each is read from where it lies."""
    put(tmp_path / "above", 1, log)
    upload(tmp_path / "above", bucket)
    put(tmp_path / "here", 2, log * 2)
    put(tmp_path / "here", 3, b"PK", name="artifacts.zip")
    tally = dig(tmp_path / "here", URL)

    assert (tally.jobs_done, tally.read) == (2, 3 * len(log))
    assert (tally.without_log, tally.failed, tally.gone) == (1, 0, 0)


def test_in_pieces(  # noqa: PLR0913, PLR0917 -- what the test looks at
    put: Put,
    log: bytes,
    packed: Packed,
    bucket: ObjectStore,
    dig: Dig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    digests: Digests,
) -> None:
    """A log too large to be held is read as it comes, packed or not; the newest artifact counts."""
    root = tmp_path / "archive"
    put(root, 1, log * 50)
    put(root, 2, packed(log * 50, "zstd"), name="job.log.zst")
    put(root, 3, b"old", artifact=99)
    put(root, 3, log, artifact=100)
    upload(root, bucket)
    whole = dig(URL, at="whole")
    monkeypatch.setattr(buckets, "_SMALL", 100)
    pieces = dig(URL, at="pieces")

    assert (whole.jobs_done, pieces.jobs_done) == (3, 3)
    assert pieces.read == 101 * len(log)
    for table in ("images", "jobs"):
        assert digests(tmp_path / "pieces" / table) == digests(tmp_path / "whole" / table)


def test_changed_since_it_was_listed(  # noqa: PLR0913, PLR0917 -- what the test looks at
    put: Put,
    log: bytes,
    bucket: ObjectStore,
    dig: Dig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An object that is replaced, or deleted, between its listing and its reading is not read."""
    for job_id in (1, 2, 3):
        put(tmp_path / "archive", job_id, log)
    upload(tmp_path / "archive", bucket)
    fetched = buckets.fetched

    def meanwhile(objects: list[buckets.Object]) -> Iterator[bytes | None]:
        first, second, _ = (each.url.removeprefix("s3://logs/") for each in objects)
        obstore.put(bucket, first, b"another")
        obstore.delete(bucket, second)
        return fetched(objects)

    monkeypatch.setattr(buckets, "fetched", meanwhile)
    tally = dig(URL)

    assert (tally.jobs_done, tally.gone, tally.failed) == (1, 1, 1)
    assert "changed since it was listed" in tally.failures[0]


def test_broken(  # noqa: PLR0913, PLR0917 -- what the test looks at
    put: Put, log: bytes, packed: Packed, bucket: ObjectStore, dig: Dig, tmp_path: Path
) -> None:
    """What does not unpack is named, in our words, and costs nobody else a row."""
    root = tmp_path / "archive"
    put(root, 1, log)
    put(root, 2, packed(log * 9, "gzip")[:-20], name="job.log.gz")
    put(root, 3, b"no zstd at all", name="job.log.zst")
    upload(root, bucket)
    tally = dig(URL)

    assert (tally.jobs_done, tally.failed, tally.exit_code) == (1, 2, 3)
    assert all(
        each.startswith(f"{URL}/") and "cannot be read (" in each and "\n" not in each
        for each in tally.failures
    )


def test_a_single_object(
    put: Put, log: bytes, bucket: ObjectStore, dig: Dig, tmp_path: Path
) -> None:
    """One log may be named as well as a prefix."""
    path = put(tmp_path / "archive", 1, log)
    upload(tmp_path / "archive", bucket)
    tally = dig(f"{URL}/{path.relative_to(tmp_path / 'archive')}")

    assert tally.jobs_done == 1


def test_no_bucket_there(dig: Dig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot be reached is one line, which names the bucket and no address."""
    for name, value in environment("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(objectstorage, "_RETRIES", 0)
    buckets._store.cache_clear()
    tally = dig(URL)
    buckets._store.cache_clear()

    assert tally.exit_code == 3
    assert tally.failures[0].startswith(f"{URL}: cannot be read (")
    assert "127.0.0.1" not in tally.failures[0]


@pytest.mark.parametrize("allowed", [False, True])
def test_plain_http(dig: Dig, monkeypatch: pytest.MonkeyPatch, *, allowed: bool) -> None:
    """Plain HTTP to anywhere but this machine is refused unless it is asked for, as for a store."""
    for name, value in environment("http://127.0.0.2:9").items():  # not known to be this machine
        monkeypatch.setenv(name, value)
    if allowed:
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setattr(objectstorage, "_RETRIES", 0)
    buckets._store.cache_clear()
    refused = pytest.raises(UsageError, match="AWS_ALLOW_HTTP")
    with contextlib.nullcontext() if allowed else refused:
        tally = dig(URL)
        assert tally.failed == 1
        assert "(error sending request)" in tally.failures[0]
    buckets._store.cache_clear()


def test_a_mistake_that_only_a_worker_meets(
    archive: Path, bucket: ObjectStore, dig: Dig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine may know another endpoint: what is to be done there is said, in a line."""
    upload(archive, bucket)

    def elsewhere(_which: buckets.Object) -> object:
        raise UsageError("set AWS_ALLOW_HTTP=true")

    monkeypatch.setattr(buckets, "_get", elsewhere)
    tally = dig(URL)

    assert tally.jobs_done == 0
    assert all(
        each.startswith(f"{URL}/") and each.endswith(": set AWS_ALLOW_HTTP=true")
        for each in tally.failures
    )
    assert len(tally.failures) > 1


def test_without_obstore(dig: Dig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, one line says how to get it."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UsageError, match=r"pip install 'logminer\[s3\]'"):
        dig(URL)


def environment(endpoint: str) -> dict[str, str]:
    """Return what names an S3 server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }


@pytest.mark.slow
def test_a_server(  # noqa: PLR0913, PLR0917 -- what the test looks at
    archive: Path,
    s3: S3,
    dig: Dig,
    tmp_path: Path,
    digests: Digests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a real S3 server into a store on it, two processes give what the disk gives to one."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    buckets._store.cache_clear()
    logs, stores = s3.bucket(), s3.bucket()
    upload(archive, s3.client(logs))
    here = dig(archive, at="here")
    there = mine(
        Store.create(f"s3://{stores}/store"),
        [f"s3://{logs}/archive"],
        instance="gitlab.example.com",
        options=Options(workers=2),
        now=dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC),
    )
    with pytest.raises(UsageError, match="there is no bucket for s3://nothing"):
        dig("s3://nothing/here")
    buckets._store.cache_clear()

    assert there.jobs_done == here.jobs_done > 50
    found = {
        name.removeprefix("store/"): hashlib.sha256(content).hexdigest()
        for name, content in s3.objects(stores).items()
        if "/date=" in name
    }
    expected = digests(tmp_path / "here")
    assert found == {name: expected[name] for name in expected if "/date=" in name}
