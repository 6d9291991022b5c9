"""One writer for each source of a bucket: a lock that lapses, since nobody there can see us die.

The lock is an object. Whoever creates it (`If-None-Match: *`), or replaces the one he read
(`If-Match`), holds it, and shows that he lives by replacing it again every quarter of the lease. It
is taken over when its holder gave it back, when the server has not seen it replaced for a whole
lease, or at once when the holder was a process of this machine that is no more. The object is never
deleted: a lock that was given back says so.

Age is the difference of two stamps of the server's clock, the lock's and that of an object written
only to ask for the time; ours is not asked, it may be wrong by hours. What is measured here is how
long ago we last renewed, with a clock that also runs while the machine sleeps.

Being taken over is not noticed by a process that stands still. So every write is conditional on
what was read, and between the reading and the writing stands `confirm`: see `carried`.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from logminer.errors import BusyError, ChangedError, LogminerError

if TYPE_CHECKING:
    from logminer.store.bucket import Bucket, Object

LEASE: Final = 60.0
"""Seconds for which a lock holds without being renewed: what a person waits after a kill, at most,
and what object storage may be out of reach without costing a run."""

_BEAT: Final = LEASE / 4

_LONGEST: Final = 500
"""Characters of what a lock says of its holder."""


class Lease:
    """A source's lock held by this process, from construction until `release`."""

    def __init__(self, bucket: Bucket, source: str) -> None:
        """Take the lock at once, or raise BusyError, which names the holder."""
        self._bucket = bucket
        self._source = source
        self._name = f"state/{source}.lock"
        self._claim: dict[str, Any] = _process() | {
            "holder": f"process {os.getpid()} on {socket.gethostname()} since {_stamp()}",
            "token": secrets.token_hex(8),
            "beat": 0,
        }
        self._turn = threading.RLock()
        self._lost: BusyError | None = None
        self._renewed = 0.0
        found = bucket.fetch(self._name)
        if found is not None:
            self._refuse(found)
        self._version = found.version if found is not None else None
        self._write()
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._heart.start()

    def check(self) -> None:
        """Raise BusyError if it is known that the lock is lost; asks nobody."""
        if self._lost is not None:
            raise self._lost

    def confirm(self) -> None:
        """Raise BusyError unless nobody can have taken the lock over until now."""
        with self._turn:
            self.check()
            if _clock() - self._renewed > LEASE / 2:
                self.renew()

    def renew(self) -> None:
        """Show that the holder lives; raises BusyError where somebody has taken over."""
        with self._turn:
            self.check()
            self._claim["beat"] += 1
            self._write()

    def release(self) -> None:
        """Let the next writer in; a second call does nothing.

        Where that cannot be said, the lease lapses.
        """
        self._ended.set()
        if self._heart is not threading.current_thread():
            self._heart.join()
        with self._turn:
            if self._lost is not None:
                return
            self._lost = BusyError(f"the lock of {self._source} was given back")
            try:
                self._put({"holder": None, "token": self._claim["token"]})
            except LogminerError:
                return

    def _refuse(self, found: Object) -> None:
        """Raise BusyError if somebody holds the lock that was found."""
        claim = _read(found.data)
        if claim.get("free") or _is_dead(claim):
            return
        now = self._bucket.now(f"state/tmp/{self._source}.clock")
        left = LEASE - (now - found.modified).total_seconds()
        if left >= 0:
            raise BusyError(
                f"{self._source} is being harvested by {_holder(claim)}: wait for it to end, or"
                f" stop it, and try again; if it was killed, in {int(left) + 1} seconds"
            )

    def _write(self) -> None:
        """Put the claim; raises BusyError where somebody else was faster."""
        began = _clock()
        try:
            self._put(self._claim)
        except ChangedError:
            found = self._bucket.fetch(self._name)
            claim = _read(found.data) if found is not None else {}
            if found is None or claim.get("token") != self._claim["token"]:
                self._lost = BusyError(
                    f"{self._source} is being harvested by {_holder(claim)}, which took the lock"
                    " over: this run ends; what it read and had not yet stored is read again"
                )
                raise self._lost from None
            self._version = found.version  # it was us: the answer was lost
        self._renewed = began

    def _put(self, claim: dict[str, Any]) -> None:
        data = json.dumps(claim).encode() + b"\n"
        self._version = self._bucket.put(self._name, data, seen=self._version)

    def _beat(self) -> None:
        """Renew until the end; what fails is tried again at the next beat, or by `confirm`."""
        while not self._ended.wait(_BEAT):
            try:
                self.renew()
            except BusyError:
                if self._lost is not None:
                    return
            except LogminerError:
                continue


def _process() -> dict[str, Any]:
    """Return what tells this process from any other that ever ran anywhere."""
    return {"pid": os.getpid(), "began": _began(os.getpid()), "machine": _machine()}


def _is_dead(claim: dict[str, Any]) -> bool:
    """Whether a holder was a process of this machine, as far as we see it, that is no more."""
    pid, machine = claim.get("pid"), _machine()
    return (
        machine is not None
        and claim.get("machine") == machine
        and isinstance(pid, int)
        and _began(pid) != claim.get("began")
    )


def _machine() -> str | None:
    """Return the name of this boot of this kernel and, since pids are theirs, of our container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 -- no path is meant
    except OSError:
        return None


def _began(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; None if there is none."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]  # a zombie writes nothing any more


def _read(data: bytes) -> dict[str, Any]:
    """Return what a lock says; nothing of one that is not ours, which its age alone can free."""
    try:
        claim = json.loads(data)
    except ValueError:
        claim = None
    if not isinstance(claim, dict):
        return {}
    return claim | {"free": "holder" in claim and claim["holder"] is None}


def _holder(claim: dict[str, Any]) -> str:
    return str(claim.get("holder") or "another process")[:_LONGEST]


def _stamp() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
