"""What tests of several rooms look at a store with: its bytes, in a directory or a bucket."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import ssl
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obstore.store import ObjectStore

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


@pytest.fixture(scope="session", autouse=True)
def _trust() -> Iterator[None]:
    """Whom the world trusts is read once: each of hundreds of clients would take 30 ms for it."""
    make = ssl.create_default_context
    usual = functools.cache(lambda: make(cafile=certifi.where()))

    def context(*arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 -- the original's
        if not arguments and {name: str(each) for name, each in options.items()} == {
            "cafile": certifi.where()
        }:
            return usual()
        return make(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", context)
        yield


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
