"""Jobs and outcomes as JSON: what the ledger keeps between two runs, or between two steps of one.

Objects carry field names, so that a ledger can be read by eye and by `sqlite3`, and a field added
later finds old text readable. Times are ISO 8601 with their offset.
Decoding what encoding gave returns an equal value, with one exception: half a surrogate pair, which
foreign JSON may contain and neither SQLite nor Parquet can hold, becomes `?`.

By msgspec, which knows types, enumerations and times: with a dictionary for each value and
the standard library's encoder, this took a tenth of a harvest's time.
"""

from __future__ import annotations

import datetime as dt
import json
import zlib
from typing import Final

import msgspec
from msgspec.structs import replace

from logminer.model import Harvested, Job

_JOB: Final = msgspec.json.Decoder(Job)
_HARVESTED: Final = msgspec.json.Decoder(Harvested)
_ENCODER: Final = msgspec.json.Encoder()
"""Types and names of the fields come from the classes; so does what a missing one is."""


def encode_job(job: Job) -> str:
    """Return a job as JSON text."""
    return _text(job)


def decode_job(text: str) -> Job:
    """Return the job that `encode_job` was given."""
    return _JOB.decode(text)


def encode_harvested(harvested: Harvested) -> str:
    """Return everything that one job contributes to the store as JSON text."""
    if harvested.kept is not None:  # small, for the little while that it waits in the ledger
        harvested = replace(harvested, kept=zlib.compress(harvested.kept, 1))
    return _text(harvested)


def decode_harvested(text: str) -> Harvested:
    """Return what `encode_harvested` was given."""
    harvested = _HARVESTED.decode(text)
    if harvested.kept is not None:
        harvested = replace(harvested, kept=zlib.decompress(harvested.kept))
    return harvested


def encode_time(moment: dt.datetime | None) -> str | None:
    """Return a time as ISO 8601 text with its offset."""
    return moment.isoformat() if moment else None


def decode_time(text: str | None) -> dt.datetime | None:
    """Return the time that `encode_time` was given."""
    return dt.datetime.fromisoformat(text) if text else None


def _text(value: Job | Harvested) -> str:
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()
