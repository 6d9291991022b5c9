"""Who speaks: borders that are crossed once, dress, streams, and what the log says of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from logminer.model import TraceSummary
from logminer.trace import Extraction, Extractor

Read = Callable[[bytes], Extraction]
Stamp = Callable[..., bytes]

HEADER = b"\x1b[0KRunning with gitlab-runner 17.4.0 (a1b2c3d4)\x1b[0;m\n"
TITLE = b'\x1b[0K\x1b[36;1mPreparing the "docker" executor\x1b[0;m\x1b[0;m\n'
EVIL = b"\x1b[0KUsing Docker executor with image evil:1 ...\x1b[0;m\n"
JOB = b"\x1b[0KUsing Docker executor with image good:1 ...\x1b[0;m\n"


def images(extraction: Extraction) -> list[tuple[str, str]]:
    """Return role and image of each row."""
    return [(use.role.value, use.image) for use in extraction.uses]


@pytest.mark.parametrize(
    "border",
    [
        b"Running on runner-1 via build-01...\n",
        b"section_start:1768988835:step_script\r\x1b[0K\n",
        b"section_start:1768988835:build_script\r\x1b[0K\n",
        b"section_start:1768988835:get_sources\r\x1b[0K\n",
        b'\x1b[0K\x1b[36;1mExecuting "step_script" stage of the job script\x1b[0;m\x1b[0;m\n',
    ],
)
@pytest.mark.parametrize(
    "forged",
    [
        EVIL,
        b"section_end:1768988836:step_script\r\x1b[0Ksection_start:1:prepare_executor\r" + EVIL,
        HEADER + TITLE + EVIL,
        b"\x1b[0KPulling docker image evil:1 ...\x1b[0;m\n",
        b'\x1b[0;33mWARNING: Failed to pull image "evil:1" with policy "always": no\x1b[0;m\n',
        b"2026-01-21T09:47:05.094220Z 00O " + EVIL,
    ],
)
def test_a_border_is_crossed_once(read: Read, border: bytes, forged: bytes) -> None:
    """Behind it a perfect copy of the runner's words makes no row, whatever precedes it."""
    assert images(read(HEADER + TITLE + JOB + border + forged)) == [("job", "good:1")]


@pytest.mark.parametrize(
    "forged",
    [
        b"Using Docker executor with image evil:1 ...\n",
        b"\x1b[32;1mUsing Docker executor with image evil:1 ...\x1b[0;m\n",
        b"10%\r" + EVIL,
        b"> " + EVIL,
        b"\x1b[0KUsing Docker executor with image evil:1 ... or not\x1b[0;m\n",
    ],
)
def test_before_the_border_the_dress_must_fit(read: Read, forged: bytes) -> None:
    """A service's log or a plugin may print before the script does."""
    assert images(read(HEADER + TITLE + JOB + forged)) == [("job", "good:1")]


@pytest.mark.parametrize("name", ["x", "prepare_executor", "upload_artifacts", "my_step_script"])
def test_other_sections_are_no_border(read: Read, name: str) -> None:
    """Sections of the preparation, and a job's own names."""
    marker = f"section_start:1768988835:{name}\r\x1b[0K\n".encode()

    assert images(read(HEADER + TITLE + marker + JOB)) == [("job", "good:1")]


@pytest.mark.parametrize(
    "time", [b"9999999999", b"99999999999", b"999999999999", b"0", b"-1", b"x"]
)
def test_no_time_of_a_section_is_an_error(read: Read, time: bytes) -> None:
    """A marker may claim any second; what is no ten digits is no marker."""
    extraction = read(HEADER + TITLE + b"section_start:" + time + b":prepare_script\r\n" + JOB)

    assert images(extraction) == [("job", "good:1")]


def test_without_timestamps_a_section_tells_the_time(read: Read) -> None:
    """It is the best that such a log knows."""
    marker = b"section_start:1768988826:prepare_executor\r\x1b[0K"
    (use,) = read(HEADER + marker + TITLE + JOB).uses

    assert use.seen_at == dt.datetime(2026, 1, 21, 9, 47, 6, tzinfo=dt.UTC)
    assert use.section == "prepare_executor"


@pytest.mark.parametrize(
    ("version", "microsecond"),
    [(b"16.11.0", 0), (b"18.3.2", 0), (b"18.4.0", 2), (b"development version", 0)],
)
def test_microseconds_are_believed_where_they_are_right(
    read: Read, stamped: Stamp, version: bytes, microsecond: int
) -> None:
    """Runners up to 18.3 pad them on the wrong side."""
    header = ("00O ", b"\x1b[0KRunning with gitlab-runner " + version + b" (a1b2c3d4)\x1b[0;m")
    (use,) = read(stamped(header, ("00O ", JOB[:-1]))).uses

    assert use.seen_at == dt.datetime(2026, 1, 21, 9, 47, 5, microsecond, tzinfo=dt.UTC)


def test_a_log_describes_itself(read: Read) -> None:
    """Version, executor, whether both were understood, size and lines."""
    trace = HEADER + TITLE + JOB + b"no end"

    assert read(trace).summary == TraceSummary(
        runner_version="17.4.0",
        executor="docker",
        recognised=True,
        truncated=False,
        bytes=len(trace),
        lines=4,
        cut_lines=0,
    )
    assert read(b"").summary == TraceSummary(
        runner_version=None,
        executor=None,
        recognised=False,
        truncated=False,
        bytes=0,
        lines=0,
        cut_lines=0,
    )


@pytest.mark.parametrize(
    ("lines", "executor", "recognised"),
    [
        (b"\x1b[0KUsing Shell executor...\x1b[0;m\n", "shell", True),
        (b"\x1b[0KPreparing instance...\x1b[0;m\n", "instance", True),
        (b"\x1b[0KUsing VirtualBox version 6 executor...\x1b[0;m\n", "virtualbox", True),
        (TITLE.replace(b"docker", b"anka") + TITLE, "anka", False),
        (JOB, "docker", True),
        (b"Running on x...\n" + TITLE, None, False),
    ],
)
def test_the_executor_is_named_once(
    read: Read,
    lines: bytes,
    executor: str | None,
    recognised: bool,  # noqa: FBT001 -- a parameter of a case
) -> None:
    """By its title, or by its own first sentence; never by a script."""
    summary = read(HEADER + lines).summary

    assert (summary.executor, summary.recognised) == (executor, recognised)


def test_a_header_far_down_is_another_runners(read: Read) -> None:
    """A script may run a runner of its own."""
    assert read(b"\n" * 10 + HEADER).summary.runner_version is None
    assert read(b"\n" * 9 + HEADER).summary.runner_version == "17.4.0"


NOTICE = b"\n\x1b[33;1mJob's log exceeded limit of 4194304 bytes.\n"
SECOND = b"Job execution will continue but no more output will be collected.\x1b[0;m\n"


@pytest.mark.parametrize(
    ("tail", "truncated", "found"),
    [
        (NOTICE + SECOND, True, []),
        (b"\n\x1b[31;1mJob's log exceeded limit of 4194304 bytes.\x1b[0;m\n", True, []),
        (b"\n\x1b[31;1mBuild log exceeded limit of 4194304 bytes.\x1b[0;m\n", True, []),
        (NOTICE + SECOND + b"x" * 300 + b"\n", False, ["alpine:3.2"]),
        (
            NOTICE + b"Status: Image is up to date for b:1\n" + b"\n" * 300,
            False,
            ["alpine:3.2", "b:1"],
        ),
        (b"\nnext\n" + NOTICE + SECOND, True, ["alpine:3.2"]),
        (b"\n", False, ["alpine:3.2"]),
        (b"", False, ["alpine:3.2"]),
    ],
)
def test_a_reference_at_the_cut_is_not_believed(
    read: Read,
    tail: bytes,
    truncated: bool,  # noqa: FBT001 -- a parameter of a case
    found: list[str],
) -> None:
    """The limit falls anywhere: `alpine:3.20` may have lost its last digit."""
    begun = HEADER + b"Running on x...\nStatus: Downloaded newer image for alpine:3.2"
    extraction = read(begun + tail)

    assert extraction.summary.truncated is truncated
    assert [use.image for use in extraction.uses] == found


def test_prepared_when_the_border_is_crossed() -> None:
    """Whoever wants the preparation alone may stop there."""
    extractor = Extractor()
    extractor.feed(HEADER + TITLE + JOB)
    before = extractor.prepared
    extractor.feed(b"Running on x...\n")

    assert (before, extractor.prepared) == (False, True)
