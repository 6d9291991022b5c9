"""What the ledger keeps comes back as it was."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from logminer.model import Harvested, ImageUse, Job
from logminer.store.codec import (
    decode_harvested,
    decode_job,
    decode_time,
    encode_harvested,
    encode_job,
    encode_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Where the type alone says too little: times are aware, and seconds are finite.
times = st.datetimes(timezones=st.just(dt.UTC))
seconds = st.none() | st.floats(min_value=0, allow_infinity=False)
jobs = st.builds(
    Job,
    created_at=times,
    started_at=st.none() | times,
    finished_at=st.none() | times,
    erased_at=st.none() | times,
    queued_duration=seconds,
    duration=seconds,
)
uses = st.builds(ImageUse, seen_at=st.none() | times)
outcomes = st.builds(
    Harvested, job=jobs, uses=st.lists(uses, max_size=3).map(tuple), harvested_at=times
)


@given(jobs)
def test_job_round_trip(job: Job) -> None:
    """A job survives being written and read, whatever its fields hold."""
    actual = decode_job(encode_job(job))

    assert job == actual


@given(outcomes)
def test_harvested_round_trip(harvested: Harvested) -> None:
    """An outcome survives being written and read, enumerations as what they are."""
    actual = decode_harvested(encode_harvested(harvested))

    assert harvested == actual
    assert [type(use.role) for use in harvested.uses] == [type(use.role) for use in actual.uses]


@given(st.none() | times)
def test_time_round_trip(moment: dt.datetime | None) -> None:
    """A time, or its absence, survives being written and read."""
    actual = decode_time(encode_time(moment))

    assert moment == actual


def test_half_a_surrogate_pair(make_job: Callable[..., Job]) -> None:
    """Text that cannot be encoded costs one character, not the job."""
    job = make_job(1, name="a\ud800b")

    assert replace(job, name="a?b") == decode_job(encode_job(job))


def test_what_an_older_logminer_left_is_read() -> None:
    """A field that came later has its default; offsets are written in either way."""
    text = (
        '{"project_id":7,"project_path":"g/p","pipeline_id":null,"id":1,"name":"build","stage":"b",'
        '"ref":null,"ref_is_tag":false,"status":"success","failure_reason":null,'
        '"created_at":"2026-11-01T10:00:00+00:00","started_at":"2026-11-01T10:00:01.5+00:00",'
        '"finished_at":null,"erased_at":null,"queued_duration":1,"duration":null,"runner_id":null,'
        '"runner_description":null,"tag_list":["a","b"],"url":null,"trace_size":4}'
    )
    job = decode_job(text)

    assert job.pipeline_source is None
    assert job.started_at == dt.datetime(2026, 11, 1, 10, 0, 1, 500_000, dt.UTC)
    assert job.tag_list == ("a", "b")
    assert decode_job(encode_job(job)) == job
