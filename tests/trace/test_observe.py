"""The observer: each line that a rule read, whether it is believed, and the row it touched."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from logminer.model import Role
from logminer.trace import Extractor, Sighting, Verdict

Stamp = Callable[..., bytes]
ID = b"sha256:" + b"1a" * 32

TRACE = (
    b"\x1b[0KRunning with gitlab-runner 17.4.0 (a1b2c3d4)\x1b[0;m\n"
    b"section_start:1768988826:prepare_executor\r\x1b[0K\x1b[0K\x1b[36;1m"
    b'Preparing the "docker" executor\x1b[0;m\x1b[0;m\n'
    b"\x1b[0KUsing Docker executor with image alpine:3 ...\x1b[0;m\n"
    b"\x1b[32;1mUsing Docker executor with image evil:1 ...\x1b[0;m\n"
    b"10%\r\x1b[0KUsing Docker executor with image evil:2 ...\x1b[0;m\n"
    b"Status: Downloaded newer image for early:1\n"
    b"\x1b[0KUsing Kubernetes executor with image evil:3 ...\x1b[0;m\n"
    b"\x1b[0KPulling docker image alpine:3 ...\x1b[0;m\n"
    b"section_start:1768988827:step_script\r\x1b[0K\n"
    b"\x1b[0KUsing docker image " + ID + b" for alpine:3 ...\x1b[0;m\n"
    b"\x1b[0KUsing docker image " + ID + b" for evil:4 ...\x1b[0;m\n"
    b"[service:db-db] Status: Downloaded newer image for evil:5\n"
    b"Status: Downloaded newer image for redis:7\n"
    b"Status: Downloaded newer image for evil:6\n"
    b"\x1b[33;1mJob's log exceeded limit of 4096 bytes.\n"
    b"Job execution will continue but no more output will be collected.\x1b[0;m\n"
)


def watch(trace: bytes) -> list[Sighting]:
    """Read a trace and return what was seen."""
    seen: list[Sighting] = []
    extractor = Extractor(observe=seen.append)
    extractor.feed(trace)
    extractor.finish()
    return seen


def test_every_reading_is_told_with_its_reason() -> None:
    """Line, section, rule, verdict and row, in the order in which they are decided."""
    told = [
        (seen.line, seen.section, seen.rule, seen.verdict.value, seen.ordinal, seen.image)
        for seen in watch(TRACE)
    ]
    prepare, step = "prepare_executor", "step_script"

    assert told == [
        (1, None, "runner.header", "runner", None, None),
        (2, None, "runner.section", "runner", None, None),
        (2, prepare, "runner.executor", "runner", None, None),
        (3, prepare, "docker.job", "runner", 1, "alpine:3"),
        (4, prepare, "docker.job", "not_dressed", None, None),
        (5, prepare, "docker.job", "not_alone", None, None),
        (6, prepare, "docker.pull_status", "before_border", None, None),
        (7, prepare, "kubernetes.job", "wrong_executor", None, None),
        (8, prepare, "docker.pulling", "runner", 1, "alpine:3"),
        (9, prepare, "runner.section", "runner", None, None),
        (10, step, "docker.using_for", "after_border", 1, "alpine:3"),
        (11, step, "docker.using_for", "after_border", None, None),
        (12, step, "docker.pull_status", "service", None, None),
        (13, step, "docker.pull_status", "script", 2, "redis:7"),
        (15, step, "runner.limit", "runner", None, None),
        (14, step, "docker.pull_status", "cut", None, None),
    ]


def test_a_sighting_says_where_and_what() -> None:
    """The text is what a person reads, bounded; the offset is the physical line's."""
    seen = watch(TRACE)[3]

    assert seen == Sighting(
        line=3,
        offset=TRACE.index(b"\x1b[0KUsing Docker executor with image alpine"),
        section="prepare_executor",
        stream=None,
        rule="docker.job",
        text="Using Docker executor with image alpine:3 ...",
        verdict=Verdict.RUNNER,
        ordinal=1,
        role=Role.JOB,
        image="alpine:3",
    )


@pytest.mark.parametrize(
    ("stream", "text", "verdict"),
    [
        ("00O ", b"Using Docker executor with image a:1 ...", "runner"),
        ("01O ", b"Using Docker executor with image a:1 ...", "wrong_stream"),
        ("0fE ", b"Using Docker executor with image a:1 ...", "wrong_stream"),
        ("01O ", b"Trying to pull a:1...", "script"),
        ("00O ", b"Trying to pull a:1...", "wrong_stream"),
        ("0fO ", b"Trying to pull a:1...", "wrong_stream"),
        ("00O ", b"section_start:1768988827:step_script", "runner"),
        ("01O ", b"section_start:1768988827:step_script", "wrong_stream"),
        ("01O ", b"Running on build-01...", "runner"),
        ("0fO ", b"Running on build-01...", "wrong_stream"),
        ("01O ", b"Build log exceeded limit of 1 bytes.", "wrong_stream"),
        ("01O ", b"Trying to pull a:1..." + b" " * 20_000, "script"),
        ("01O ", b"Status: Downloaded newer image for a:1" + b" " * 20_000, "cut"),
    ],
)
def test_with_timestamps_the_stream_decides(
    stamped: Stamp, stream: str, text: bytes, verdict: str
) -> None:
    """Stream 00 is the runner, 0f a service, any other the script."""
    header = ("00O ", b"\x1b[0KRunning with gitlab-runner 18.9.0 (a1b2c3d4)\x1b[0;m")
    seen = watch(stamped(header, (stream, text)))[1]

    assert (seen.stream, seen.verdict.value) == (stream.strip(), verdict)
    assert len(seen.text) <= 300


def test_an_observer_changes_nothing() -> None:
    """The rows are the same with and without."""
    watched, alone = Extractor(observe=lambda _: None), Extractor()
    for extractor in (watched, alone):
        extractor.feed(TRACE)

    assert watched.finish() == alone.finish()
