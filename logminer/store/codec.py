"""Jobs and outcomes as JSON: what the ledger keeps between two runs, or between two steps of one.

Objects carry field names, so that a ledger can be read by eye and by `sqlite3`, and a field added
later finds old text readable. Times are ISO 8601 with their offset.
Decoding what encoding gave returns an equal value, with one exception: half a surrogate pair, which
foreign JSON may contain and neither SQLite nor Parquet can hold, becomes `?`.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import zlib
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from logminer.model import (
    Depth,
    ErrorKind,
    Harvested,
    ImageUse,
    Job,
    Origin,
    Outcome,
    Role,
    TraceState,
    TraceSummary,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_Object = dict[str, Any]
"""A JSON object as the standard library types it."""

# Not dataclasses.asdict: it copies every value deeply, which costs more than the trace's scan.
_JOB: Final = tuple(field.name for field in fields(Job))
_USE: Final = tuple(field.name for field in fields(ImageUse))
_SUMMARY: Final = tuple(field.name for field in fields(TraceSummary))
_job_values: Callable[[Job], tuple[Any, ...]] = attrgetter(*_JOB)
_use_values: Callable[[ImageUse], tuple[Any, ...]] = attrgetter(*_USE)
_summary_values: Callable[[TraceSummary], tuple[Any, ...]] = attrgetter(*_SUMMARY)

# Nor the enumerations' own look-up by value: six calls for each use.
_ROLES: Final = {each.value: each for each in Role}
_ORIGINS: Final = {each.value: each for each in Origin}
_OUTCOMES: Final = {each.value: each for each in Outcome}

_JOB_TIMES: Final = ("created_at", "started_at", "finished_at", "erased_at")


def encode_job(job: Job) -> str:
    """Return a job as JSON text."""
    return _text(_job_object(job))


def decode_job(text: str) -> Job:
    """Return the job that `encode_job` was given."""
    return _job(json.loads(text))


def encode_harvested(harvested: Harvested) -> str:
    """Return everything that one job contributes to the store as JSON text."""
    summary = harvested.summary
    return _text(
        {
            "instance": harvested.instance,
            "job": _job_object(harvested.job),
            "state": harvested.state,
            "depth": harvested.depth,
            "summary": (
                dict(zip(_SUMMARY, _summary_values(summary), strict=True)) if summary else None
            ),
            "uses": [dict(zip(_USE, _use_values(use), strict=True)) for use in harvested.uses],
            "extractor_version": harvested.extractor_version,
            "harvested_at": harvested.harvested_at,
            **({"kept": _packed(harvested.kept)} if harvested.kept is not None else {}),
        }
    )


def decode_harvested(text: str) -> Harvested:
    """Return what `encode_harvested` was given."""
    value: _Object = json.loads(text)
    summary = value["summary"]
    return Harvested(
        instance=value["instance"],
        job=_job(value["job"]),
        state=TraceState(value["state"]),
        depth=Depth(value["depth"]),
        summary=TraceSummary(**summary) if summary else None,
        uses=tuple(_use(use) for use in value["uses"]),
        extractor_version=value["extractor_version"],
        harvested_at=dt.datetime.fromisoformat(value["harvested_at"]),
        kept=_unpacked(value["kept"]) if "kept" in value else None,
    )


def encode_time(moment: dt.datetime | None) -> str | None:
    """Return a time as ISO 8601 text with its offset."""
    return moment.isoformat() if moment else None


def decode_time(text: str | None) -> dt.datetime | None:
    """Return the time that `encode_time` was given."""
    return dt.datetime.fromisoformat(text) if text else None


def _packed(data: bytes) -> str:
    """Write bytes as text, small for the little while that they wait in the ledger."""
    return base64.b64encode(zlib.compress(data, 1)).decode("ascii")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def _job_object(job: Job) -> _Object:
    return dict(zip(_JOB, _job_values(job), strict=True))


def _job(value: _Object) -> Job:
    for name in _JOB_TIMES:
        value[name] = decode_time(value[name])
    value["tag_list"] = tuple(value["tag_list"])
    return Job(**value)


def _use(value: _Object) -> ImageUse:
    value["role"] = _ROLES[value["role"]]
    value["origin"] = _ORIGINS[value["origin"]]
    value["outcome"] = _OUTCOMES[value["outcome"]]
    value["error_kind"] = ErrorKind(value["error_kind"]) if value["error_kind"] else None
    value["seen_at"] = decode_time(value["seen_at"])
    return ImageUse(**value)


def _text(value: _Object) -> str:
    text = _ENCODER.encode(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _time(value: object) -> str:
    """Write the one type that JSON lacks and our values have."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_time)
"""One for all: `json.dumps` makes a new one for each value that needs options."""
