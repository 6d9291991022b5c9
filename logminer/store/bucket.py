"""A store on object storage: objects that are replaced whole, each by one conditional PUT.

    s3://bucket/prefix/images/date=…/<source>.parquet     as in a directory
    s3://bucket/prefix/jobs/date=…/<source>.parquet
    s3://bucket/prefix/state/store.json                   says that this is a store
    s3://bucket/prefix/state/<source>.sqlite.zst          the ledger, see `carried`
    s3://bucket/prefix/state/<source>.lock                its lock, see `lease`

An object has no half-written state, and a PUT with `If-Match` (or `If-None-Match: *`) is refused
where somebody was faster: so a writer that has lost its lock without noticing, because its machine
stood still, cannot overwrite what its successor wrote. A DELETE that is conditional in the same way
is not to be had everywhere, so nothing is ever deleted: a day that loses its last row keeps a file
without rows.

Reading goes the same way as writing, through obstore, so that credentials come from one place.
"""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import obstore
import pyarrow as pa
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from pyarrow import fs

from logminer.errors import (
    AuthorisationError,
    BusyError,
    ChangedError,
    NotAStoreError,
    StoreError,
)
from logminer.objectstorage import code, connect, lacks_bucket, reason
from logminer.store.shelf import Found, Version

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from obstore import ObjectMeta, PutResult
    from obstore.store import ObjectStore

    from logminer.store.ledger import Ledger, LedgerView

_LEDGER: Final = ".sqlite.zst"

_AHEAD: Final = 2**20
"""Bytes read at least: most days are smaller, and need one request."""

_THROTTLED: Final = re.compile(r"status code: (?:429|503) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A small object as it was found."""

    data: bytes
    version: Version
    modified: dt.datetime
    """By the server's clock."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The files of a store below a prefix of a bucket."""

    url: str
    objects: ObjectStore = field(repr=False, compare=False)

    @classmethod
    def at(cls, url: str) -> Bucket:
        """Return the files below a URL; nothing is asked of any server yet."""
        url = url.rstrip("/")
        return cls(url, connect(url))

    def __str__(self) -> str:
        """Return the URL as it was given."""
        return self.url

    @property
    def can_remove(self) -> bool:
        """There is no conditional DELETE everywhere."""
        return False

    def exists(self) -> bool:
        """Whether anything lies below the prefix."""
        return bool(self._list(None, most=1))

    def read(self, name: str) -> bytes | None:
        """Return a small object; None if there is none."""
        found = self.fetch(name)
        return found.data if found is not None else None

    def lay_out(self, name: str, marker: bytes) -> None:
        """Put the marker where nothing else lies; a store has no other beginning here."""
        if inside := self._list(None, most=1):
            raise NotAStoreError(
                f"{self.url} is no logminer store and not empty ({inside[0]} lies in it): name a"
                " new prefix"
            )
        with contextlib.suppress(ChangedError):  # another harvest was faster
            self.put(name, marker, seen=None)

    def names(self, directory: str) -> list[str]:
        """Return the names of the objects below `directory`."""
        return self._list(directory)

    def filesystem(self) -> fs.FileSystem:
        """Return what Arrow reads these objects with."""
        return fs.PyFileSystem(_Reading(self))

    def location(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self.url}/{name}"

    def find(self, name: str) -> Found | None:
        """Return an object, all of it; None if there is none."""
        found = self.fetch(name)
        if found is None:
            return None
        return Found(content=pa.BufferReader(found.data), version=found.version)

    @contextlib.contextmanager
    def replacing(
        self, name: str, *, seen: Found | None, aside: Path, confirm: Callable[[], None]
    ) -> Iterator[Path]:
        """Give `aside` to write to; at the end put that in the place of what was seen."""
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            # Only now: a successor that took the lock after this has not read the object yet, or
            # has changed it since it was seen.
            confirm()
            self.put(name, aside, seen=seen.version if seen is not None else None)
        finally:
            aside.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Never: see the module's beginning."""
        raise NotImplementedError(name)

    def has_ledger(self, source: str) -> bool:
        """Whether a source has a ledger here."""
        return self.version(ledger_name(source)) is not None

    def open_ledger(self, source: str) -> Ledger:
        """Take the lock and a copy of the ledger, which is carried back."""
        from logminer.store.carried import CarriedLedger  # noqa: PLC0415 -- only here

        return CarriedLedger.carry(self, source)

    def read_ledger(self, source: str) -> LedgerView:
        """Look at a copy of the ledger."""
        from logminer.store.carried import CarriedView  # noqa: PLC0415 -- only here

        return CarriedView.fetch(self, source)

    def sources(self) -> list[str]:
        """Return the names of the sources that have a ledger here, sorted."""
        names = [name.removeprefix("state/") for name in self._list("state")]
        return sorted(name.removesuffix(_LEDGER) for name in names if name.endswith(_LEDGER))

    # -- requests ------------------------------------------------------------------------------

    def fetch(self, name: str) -> Object | None:
        """Return an object, all of it; None if there is none."""
        try:
            with self._one_line("read", name):
                result = obstore.get(self.objects, name)
                return Object(
                    data=bytes(result.bytes()),
                    version=_version(result.meta),
                    modified=result.meta["last_modified"],
                )
        except FileNotFoundError:
            return None

    def fetch_to(self, name: str, path: Path) -> Version | None:
        """Copy an object into a file and return its version; None if there is none."""
        try:
            with self._one_line("read", name), path.open("wb") as file:
                result = obstore.get(self.objects, name)
                for chunk in result.stream():
                    file.write(chunk)
                return _version(result.meta)
        except FileNotFoundError:
            return None

    def version(self, name: str) -> Version | None:
        """Return which version of an object there is; None if there is none."""
        try:
            with self._one_line("read", name):
                return _version(obstore.head(self.objects, name))
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes | Path, *, seen: Version | None) -> Version:
        """Put an object in the place of the version that was seen, and return its version.

        `seen` is None where there was none. Raises ChangedError where that is not so any more: it
        may even be by this very PUT, whose answer was lost and which was tried again.
        """
        try:
            with self._one_line("write", name):
                result = obstore.put(
                    self.objects,
                    name,
                    content,
                    mode=cast("Any", dict(seen)) if seen is not None else "create",
                    use_multipart=False,  # has no conditions
                )
        except FileNotFoundError as error:  # what was seen is gone
            raise ChangedError(self._changed(name)) from error
        return _version(result)

    def now(self, name: str) -> dt.datetime:
        """Return the server's time, as it stamps an object of that name, which is left behind."""
        with self._one_line("write", name):
            obstore.put(self.objects, name, b"\n", mode="overwrite")
            return obstore.head(self.objects, name)["last_modified"]

    def _list(self, directory: str | None, most: int | None = None) -> list[str]:
        names: list[str] = []
        with self._one_line("list", directory or ""):
            for chunk in obstore.list(self.objects, directory, chunk_size=1_000):
                names += [entry["path"] for entry in chunk]
                if most is not None and len(names) >= most:
                    break
        return names

    def _changed(self, name: str) -> str:
        return (
            f"{self.location(name)} was replaced by somebody else since it was read: let one"
            " harvest run at a time, and try again; nothing is lost"
        )

    @contextlib.contextmanager
    def _one_line(self, what: str, name: str) -> Iterator[None]:
        """Turn what object storage says into one line that tells what to do.

        An object that is not there stays a FileNotFoundError; conditions that failed become
        ChangedError.
        """
        try:
            yield
        except (AlreadyExistsError, PreconditionError) as error:
            raise ChangedError(self._changed(name)) from error
        except (BaseError, FileNotFoundError) as error:
            if lacks_bucket(error):
                raise NotAStoreError(
                    f"there is no bucket for {self.url}: create it, or check its name"
                ) from error
            if isinstance(error, FileNotFoundError):
                raise
            where = f"cannot {what} {self.location(name)}"
            if isinstance(error, PermissionDeniedError | UnauthenticatedError) or (
                code(error) in {"AccessDenied", "SignatureDoesNotMatch"}
            ):
                raise AuthorisationError(
                    f"{where} ({reason(error)}): these credentials may not; a harvest needs to"
                    " list, read and write below the prefix, a report to list and read"
                ) from error
            if _THROTTLED.search(str(error)):
                raise BusyError(
                    f"{where}: object storage asks to slow down ({reason(error)}); try again"
                    " later, nothing is lost"
                ) from error
            raise StoreError(
                f"{where} ({reason(error)}): check the endpoint, the region and the credentials"
                " in the environment, then try again; nothing is lost"
            ) from error


def ledger_name(source: str) -> str:
    """Return the name of a source's ledger."""
    return f"state/{source}{_LEDGER}"


class _Reading(fs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """What Arrow needs of a file system to read: opening a file by its URL.

    The rest of a file system is pyarrow's own bridge, and is not used.
    """

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(None)
        self._bucket = bucket

    def get_type_name(self) -> str:
        """Return a name for error messages."""
        return "bucket"

    def normalize_path(self, path: str) -> str:
        """Leave a URL as it is."""
        return path

    def open_input_file(self, path: str) -> pa.PythonFile:
        """Open an object; nothing is asked of the server before it is read."""
        name = path.removeprefix(f"{self._bucket.url}/")
        return pa.PythonFile(_Remote(self._bucket, name), mode="r")


class _Remote(io.RawIOBase):
    """An object to be read in parts, all of which are of one version.

    The end comes first: it holds a Parquet file's footer, and is all of most files.
    """

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name
        self._position = 0
        self._start = 0
        self._buffer = memoryview(b"")
        self._e_tag: str | None = None
        self._size = 0

    def readable(self) -> bool:
        """Tell Arrow that it may be read."""
        return True

    def seekable(self) -> bool:
        """Tell Arrow that the position may be moved."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        if whence == io.SEEK_END:
            self._learn()
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return at most `size` bytes from the position on."""
        self._learn()
        left = max(self._size - self._position, 0)
        count = left if size is None or size < 0 else min(size, left)
        if count == 0:
            return b""
        begin = self._position - self._start
        if begin < 0 or begin + count > len(self._buffer):
            end = min(self._position + max(count, _AHEAD), self._size)
            self._get({"range": (self._position, end), "if_match": self._e_tag})
            begin = 0
        self._position += count
        return bytes(self._buffer[begin : begin + count])

    def _learn(self) -> None:
        """Read the end, and with it the size and the version."""
        if self._e_tag is None:
            self._get({"range": {"suffix": _AHEAD}})

    def _get(self, options: Any) -> None:  # noqa: ANN401 -- obstore's types are no types at runtime
        try:
            with self._bucket._one_line("read", self._name):  # noqa: SLF001 -- a part of it
                result = obstore.get(self._bucket.objects, self._name, options=options)
                self._e_tag, self._size = result.meta["e_tag"] or "", result.meta["size"]
                self._start = result.range[0]
                self._buffer = memoryview(bytes(result.bytes()))
        except ChangedError as error:
            raise OSError(f"{self._name} was replaced while it was read; ask again") from error
        except StoreError as error:
            raise OSError(str(error)) from error


def _version(result: ObjectMeta | PutResult) -> Version:
    """Return what a condition names."""
    parts = {"e_tag": result["e_tag"], "version": result["version"]}
    return {name: value for name, value in parts.items() if value is not None}
