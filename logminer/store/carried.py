"""The ledger of a bucket: fetched before a run, worked on as a file, carried back at checkpoints.

SQLite needs a file, so the one writer of a source has a copy in a directory of its own, which is
worth nothing once the process has ended: what counts is the object `state/<source>.sqlite.zst`. The
order of things, and why a kill between any two of them costs reading again and never a gap or a
duplicate:

1. The lock is taken (`lease`), then the ledger is fetched, and not before: it is the last one that
   the previous holder carried back.
2. Jobs are listed and read into the copy. Every minute or so the copy is carried back, in one
   conditional PUT. Killed here, what came after the last checkpoint is listed and read again.
3. Before the first day is published, the ledger is carried back once more. It now knows every
   outcome whose rows the days are going to hold, as recorded and not yet published. Without this
   step a killed run could leave rows that no ledger knows, and a job that moves to another day
   before it is read again (a skipped one that is played) would be counted on both.
4. Each day is published as in a directory: read, the rows of these jobs dropped, theirs appended,
   PUT on the condition that it is what was read. Then, in the copy, the outcomes of the days that
   are done are no longer pending. Killed here, the bucket's ledger still has them, and the next run
   publishes them again: the same rows in the place of the same rows.
5. At the end the ledger is carried back. So the one in the bucket never calls anything published
   that is not there.

A holder that stood still for a whole lease is taken over, and does not know it when it goes on. It
cannot do harm: before each PUT, and after reading what the PUT is conditional on, it confirms the
lease. Lost before that, it ends with BusyError. Lost after it, the successor either has replaced
the object by then, and the PUT is refused; or it has not even read it yet, and will read what this
PUT made of it: rows of outcomes that were carried back in step 3, which the successor has fetched
with the ledger. The same holds of the ledger itself: one that the predecessor carries back after
all knows nothing that has been published, and is replaced.

A checkpoint takes as long as compressing and sending the ledger does, and takes place when twenty
times as long has passed since the last one, and at least a minute: at most 5 % of a run's time is
spent on not reading a minute's logs again. It is compressed because that pays: a million done jobs
are 23 MB, which become 8 in a fifth of a second.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa

from logminer.errors import ChangedError, StoreError
from logminer.store.bucket import ledger_name
from logminer.store.durable import writable
from logminer.store.lease import Lease
from logminer.store.ledger import Ledger, LedgerView
from logminer.store.tables import adopt, connect, look, one_line

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from logminer.store.bucket import Bucket
    from logminer.store.shelf import Version

_CHECKPOINT: Final = 60.0
"""Seconds between two checkpoints, at least."""

_SHARE: Final = 20
"""Times as long as a checkpoint took is waited before the next one."""

_MAGIC: Final = b"SQLite format 3\0"

_TRIES: Final = 5
"""PUTs of a ledger that are refused although the lock is ours: more are no accident."""


class CarriedLedger(Ledger):
    """The ledger of one source of a bucket, held by its one writer."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what it consists of; `carry` makes one
        self,
        path: Path,
        connection: sqlite3.Connection,
        lease: Lease,
        bucket: Bucket,
        held: ExitStack,
        version: Version | None,
        carried: tuple[int, int],
    ) -> None:
        """Wrap a copy; `carry` makes one."""
        super().__init__(path, connection, lease)
        self._lease = lease
        self._bucket = bucket
        self._held = held
        self._version = version
        self._carried = carried
        self._carrying = threading.Lock()
        self._due = time.monotonic() + _CHECKPOINT
        self._open = True

    @classmethod
    def carry(cls, bucket: Bucket, source: str) -> Self:
        """Take the lock of a source and fetch its ledger; begin an empty one if there is none.

        Raises as `Ledger.open` does.
        """
        lease = Lease(bucket, source)
        with ExitStack() as held:
            held.callback(lease.release)
            path, version = _fetch(bucket, source, held.enter_context(_scratch()))
            connection = held.enter_context(closing(connect(path, "rwc")))
            # What is deleted must not be carried on: zeros pack to nothing.
            connection.execute("PRAGMA secure_delete = ON")
            with _named(path, bucket, source):
                with one_line(path):
                    carried = _state(connection)
                adopt(path, connection)  # a new one, and an older one, it changes
            # The copy need not outlive us.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = MEMORY")
            return cls(path, connection, lease, bucket, held.pop_all(), version, carried)

    def confirm(self) -> None:
        """Raise BusyError unless the lock is still ours."""
        self._lease.confirm()

    def conflicted(self) -> None:
        """Raise BusyError unless the lock is still ours, by the server's word."""
        self._lease.renew()

    def checkpoint(self) -> None:
        """Carry the ledger back to the bucket, unless it has not changed since."""
        with self._carrying:
            began = time.monotonic()
            whole, packed = self.path.with_suffix(".copy"), self.path.with_suffix(".zst")
            with self._turn:
                state = _state(self._connection)
                if state == self._carried:
                    return
                # No transaction is open in anybody's turn: the file is whole. To pack it takes two
                # or three times as long as to copy it, and for that nobody has to wait.
                with writable(whole):
                    shutil.copyfile(self.path, whole)
            with writable(packed):
                _copy(pa.OSFile(str(whole)), pa.output_stream(packed, compression="zstd"))
                whole.unlink()
            self._put(packed)
            self._carried = state
            now = time.monotonic()
            self._due = now + max(_CHECKPOINT, _SHARE * (now - began))

    def close(self) -> None:
        """Carry the ledger back and give back the lock; a second call does nothing."""
        if not self._open:
            return
        self._open = False
        try:
            self._lease.check()
            self.checkpoint()
        finally:
            self._held.close()

    def _put(self, packed: Path) -> None:
        name = ledger_name(self.source)
        for _ in range(_TRIES):
            self._lease.confirm()
            try:
                self._version = self._bucket.put(name, packed, seen=self._version)
            except ChangedError as error:
                last = error
                self._lease.renew()
                self._version = self._bucket.version(name)
            else:
                return
        raise last

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """As everywhere; a lock that is lost ends the run, and some transactions are followed up.

        By a checkpoint, that is.
        """
        self._lease.check()
        with super()._transaction() as connection:
            yield connection
        if time.monotonic() >= self._due:
            self.checkpoint()


class CarriedView(LedgerView):
    """A look at the ledger of a bucket as it was carried back last."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        held: ExitStack,
    ) -> None:
        """Wrap a copy; `fetch` makes one."""
        super().__init__(path, connection)
        self._held = held

    @classmethod
    def fetch(cls, bucket: Bucket, source: str) -> Self:
        """Fetch the ledger of a source; raises StoreError if there is none."""
        with ExitStack() as held:
            path, version = _fetch(bucket, source, held.enter_context(_scratch()))
            if version is None:
                raise StoreError(
                    f"there is no ledger at {bucket.location(ledger_name(source))}: nothing was"
                    " harvested into it yet"
                )
            connection = held.enter_context(closing(connect(path, "rw")))
            with _named(path, bucket, source):
                look(path, connection)
            return cls(path, connection, held.pop_all())

    def close(self) -> None:
        """Throw the copy away; a second call does nothing."""
        self._held.close()


def _state(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return what changes whenever rows or tables do."""
    (schema,) = connection.execute("PRAGMA schema_version").fetchone()
    return connection.total_changes, schema


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for a copy."""
    with writable(Path(tempfile.gettempdir())):
        return tempfile.TemporaryDirectory(prefix="logminer-")


def _fetch(bucket: Bucket, source: str, scratch: str) -> tuple[Path, Version | None]:
    """Copy a ledger into a directory; return where it is, and which version; None for none."""
    path = Path(scratch, f"{source}.sqlite")
    packed = path.with_suffix(".zst")
    with writable(packed):
        version = bucket.fetch_to(ledger_name(source), packed)
        if version is not None:
            try:
                _copy(pa.input_stream(packed, compression="zstd"), pa.OSFile(str(path), "wb"))
            except OSError as error:
                if error.errno is not None:  # the system's, not the decompressor's
                    raise
                raise _damaged(bucket, source, error) from error
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:  # a short one SQLite would take for new
                    raise _damaged(bucket, source, "it is no SQLite file")
        packed.unlink(missing_ok=True)
    return path, version


def _damaged(bucket: Bucket, source: str, error: object) -> StoreError:
    reason = str(error).partition("\n")[0]
    return StoreError(
        f"{bucket.location(ledger_name(source))} is damaged ({reason}): restore it, or delete it"
        " and harvest again; published files stay right either way"
    )


def _copy(source: pa.NativeFile, target: pa.NativeFile) -> None:
    with source, target:
        shutil.copyfileobj(source, target, 2**20)


@contextmanager
def _named(path: Path, bucket: Bucket, source: str) -> Iterator[None]:
    """Let what is wrong with a copy be said of the object that it was copied from."""
    try:
        yield
    except StoreError as error:
        text = str(error).replace(str(path), bucket.location(ledger_name(source)))
        raise type(error)(text) from error
