"""Archives in buckets: `s3://bucket/prefix`, `gs://` and `az://`, through obstore.

Listing is a stream of pages; a log is read with one request, on the condition that it is the one
that was listed.
"""

from __future__ import annotations

import contextlib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from logminer.errors import NotFoundError, UnexpectedAnswerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from obstore.store import ObjectStore

_URL: Final = re.compile(r"(?:s3|gs|az)://[^/]+")
_SMALL: Final = 8 * 2**20
"""Bytes up to which a log is read at once; longer ones come in pieces."""
_AT_ONCE: Final = 16
"""Requests under way for one worker: each waits for an answer most of its time."""


class Object(NamedTuple):
    """What a listing says of an object."""

    url: str
    size: int
    version: str | None


def is_url(path: str) -> bool:
    """Whether a path is that of a bucket, or of something in one."""
    return _URL.match(path) is not None


def check(url: str) -> None:
    """Raise UsageError for a URL of which can be said without a server that it leads nowhere."""
    bucket, _ = _parted(url)
    _store(bucket)


def listed(url: str) -> Iterator[Object]:
    """Yield every object below a URL, by name; of one that names an object, that object.

    Raises UsageError where there is no such bucket, UnexpectedAnswerError where it cannot be
    listed.
    """
    bucket, prefix = _parted(url)
    with _one_line(url):
        store = _store(bucket)
        if prefix:
            with contextlib.suppress(FileNotFoundError):
                yield _object(bucket, _obstore().head(store, prefix))
        for page in _obstore().list(store, prefix or None, chunk_size=1_000):
            for meta in page:
                yield _object(bucket, meta)


@contextlib.contextmanager
def opened(which: Object, *, content: bytes | None = None) -> Iterator[tuple[pa.NativeFile, float]]:
    """Give an object to read, and when it was written; `content` is its bytes where they are here.

    Raises NotFoundError where it is gone, UnexpectedAnswerError where it cannot be read or is not
    the one that was listed.
    """
    if content is not None:
        yield pa.BufferReader(content), 0.0
        return
    with _one_line(which.url):
        result = _get(which)
        written = result.meta["last_modified"].timestamp()
        if which.size <= _SMALL:
            yield pa.BufferReader(result.bytes()), written
        else:
            pieces = io.BufferedReader(_Pieces(result.stream(min_chunk_size=1 << 20)))
            with pa.PythonFile(pieces, "r") as source:
                yield source, written


def fetched(objects: Iterable[Object]) -> Iterator[bytes | None]:
    """Yield the bytes of objects, several requested at a time.

    None for a large one, and for one that could not be had: asked for alone, it will say why.
    """

    def fetch(each: Object) -> bytes | None:
        if each.size > _SMALL:
            return None
        try:
            with _one_line(each.url):
                return bytes(_get(each).bytes())
        except (NotFoundError, UnexpectedAnswerError, UsageError):
            return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(fetch, objects)


class _Pieces(io.RawIOBase):
    """A body as it comes, to be read like a file."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- whatever can be written to
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _get(which: Object) -> Any:  # noqa: ANN401 -- obstore's
    bucket, name = _parted(which.url)
    options: Any = {"if_match": which.version} if which.version else None
    return _obstore().get(_store(bucket), name, options=options)


def _object(bucket: str, meta: Any) -> Object:  # noqa: ANN401 -- obstore's
    return Object(f"{bucket}/{meta['path']}", meta["size"], meta.get("e_tag"))


def _parted(url: str) -> tuple[str, str]:
    """Return a bucket's URL, and the name within."""
    match = _URL.match(url)
    bucket = match[0] if match else url
    return bucket, url[len(bucket) :].strip("/")


@lru_cache(8)
def _store(bucket: str) -> ObjectStore:
    _obstore()
    from logminer.objectstorage import connect  # noqa: PLC0415 -- only where there is a bucket

    return connect(bucket)


def _obstore() -> Any:  # noqa: ANN401 -- a module
    try:
        import obstore  # noqa: PLC0415 -- only where there is a bucket
    except ImportError as error:
        raise UsageError("reading buckets needs obstore: pip install 'logminer[s3]'") from error
    return obstore


@contextlib.contextmanager
def _one_line(url: str) -> Iterator[None]:
    """Turn what object storage says into one line."""
    _obstore()
    from obstore.exceptions import BaseError, PreconditionError  # noqa: PLC0415

    from logminer.objectstorage import lacks_bucket, reason  # noqa: PLC0415

    try:
        yield
    except PreconditionError as error:
        raise UnexpectedAnswerError(f"{url}: changed since it was listed") from error
    except (BaseError, FileNotFoundError, ValueError) as error:
        if lacks_bucket(error):
            raise UsageError(f"there is no bucket for {url}: check its name") from error
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(f"{url}: gone") from error
        raise UnexpectedAnswerError(
            f"{url}: cannot be read ({reason(error)}): check the endpoint, the region and the"
            " credentials in the environment"
        ) from error
