"""The docker executors' sentences in the wording of each version, and the truth beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from logminer.simulator import Planted
from logminer.simulator.catalogue import hosted, hub, own
from logminer.simulator.plan import Need

if TYPE_CHECKING:
    from logminer.simulator.writer import Version

Tell = Callable[..., tuple[bytes, tuple[Planted, ...]]]
MakeNeed = Callable[..., Need]


def _section(trace: bytes, name: bytes) -> bytes:
    """Return what stands in a section of a trace without time stamps."""
    after = trace.split(b":" + name + b"\r\x1b[0K", 1)[1]
    return after.split(b"section_end:", 1)[0].split(b"\n", 1)[1]


def test_plain_pull(tell: Tell) -> None:
    """A job image that is pulled is declared, named with its policy, pulled and used by digest."""
    trace, (job, helper) = tell((18, 6, 0))

    assert _section(trace, b"prepare_executor") == (
        b"\x1b[0KUsing Docker executor with image golang:1.24 ...\x1b[0;m\n"
        b"\x1b[0KUsing effective pull policy of [always] for container golang:1.24\x1b[0;m\n"
        b"\x1b[0KPulling docker image golang:1.24 ...\x1b[0;m\n"
        b"\x1b[0KUsing docker image " + str(job.image_id).encode() + b" for golang:1.24 "
        b"with digest golang@" + str(job.digest).encode() + b" ...\x1b[0;m\n"
    )
    assert job == Planted(
        job_id=100, role="job", origin="runner", outcome="pulled", image="golang:1.24",
        registry="docker.io", repository="library/golang", tag="1.24", digest=job.digest,
        image_id=job.image_id, pull_policy="always", pull_attempts=1, credentials=None,
        platform=None, downloaded=None, error_kind=None, via=None, upstream_registry=None,
        upstream_repository=None,
    )  # fmt: skip
    assert (helper.role, helper.outcome, helper.image, helper.pull_attempts) == (
        "helper", "present", helper.image_id, 0,
    )  # fmt: skip


def test_image_repeated_for_the_script(tell: Tell) -> None:
    """The container of the script names the image again (13.9), which is no second row."""
    trace, rows = tell((17, 9, 0))

    assert trace.count(b"\x1b[0KUsing docker image sha256:") == 2
    assert [row.role for row in rows] == ["job"]
    assert tell((13, 7, 0))[0].count(b"\x1b[0KUsing docker image sha256:") == 1


@pytest.mark.parametrize(
    ("version", "digest"), [((13, 2, 0), b""), ((13, 4, 0), b" with digest golang@sha256:")]
)
def test_digest_since_13_4(tell: Tell, version: Version, digest: bytes) -> None:
    """The digest is part of the sentence from 13.4; before, there is none to know."""
    trace, (job,) = tell(version)

    assert (b" for golang:1.24" + digest) in trace
    assert (job.digest is not None) is bool(digest)


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ((17, 0, 0), b"\x1b[0KStarting service registry.gitlab.example/g/db:latest ...\x1b[0;m\n"),
        ((17, 1, 0), b"\x1b[0KStarting service registry.gitlab.example/g/db:latest...\x1b[0;m\n"),
    ],
)
def test_service_name_is_lossy(tell: Tell, need: MakeNeed, version: Version, line: bytes) -> None:
    """The service's first line loses the port and fills in a tag; the truth is what follows."""
    service = need(own("g/db"), credentials="job payload (GitLab Registry)")
    trace, rows = tell(version, services=(service,))

    assert line in trace
    assert (
        b"\x1b[0KAuthenticating with credentials from job payload (GitLab Registry)\x1b[0;m\n"
        b"\x1b[0KPulling docker image registry.gitlab.example:5050/g/db ...\x1b[0;m\n"
    ) in trace
    assert rows[1].image == "registry.gitlab.example:5050/g/db"
    assert (rows[1].tag, rows[1].credentials) == (None, "job payload (GitLab Registry)")


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ((14, 10, 0), b"\x1b[0KWaiting for services to be up and running...\x1b[0;m\n"),
        ((15, 0, 0),
         b"\x1b[0KWaiting for services to be up and running (timeout 30 seconds)...\x1b[0;m\n"),
    ],
)  # fmt: skip
def test_waiting_for_services(tell: Tell, need: MakeNeed, version: Version, line: bytes) -> None:
    """The end of the services names its timeout from 15.0."""
    assert line in tell(version, services=(need(hub("redis")),))[0]


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ((13, 7, 0),
         b"Using locally found image version due to if-not-present pull policy\n\x1b[0;m"),
        ((13, 8, 0),
         b'Using locally found image version due to "if-not-present" pull policy\n\x1b[0;m'),
    ],
)  # fmt: skip
def test_local_image(tell: Tell, need: MakeNeed, version: Version, line: bytes) -> None:
    """An image found on the machine is present and the registry was not asked."""
    trace, (job,) = tell(
        version, main=need(hub("golang", "1.24"), ("if-not-present",), cached=True)
    )

    assert line in trace
    assert (job.outcome, job.pull_attempts, job.pull_policy) == ("present", 0, "if-not-present")


def test_rescued_by_the_second_policy(tell: Tell, need: MakeNeed) -> None:
    """A pull that fails and is rescued by a second policy leaves its error in the row."""
    main = need(
        hub("golang", "1.24"), ("always", "if-not-present"), cached=True, failure="rate_limited"
    )
    trace, (job, _) = tell((18, 6, 0), main=main)

    assert (
        b'\x1b[0;33mWARNING: Failed to pull image with policy "always": '
        b"Error response from daemon: toomanyrequests: You have reached your pull rate limit."
    ) in trace
    assert b'\x1b[32;1mAttempt #2: Trying "if-not-present" pull policy\x1b[0;m\n' in trace
    assert (job.outcome, job.error_kind, job.pull_attempts, job.pull_policy) == (
        "present", "rate_limited", 1, "always if-not-present",
    )  # fmt: skip


def test_failed_service_leaves_the_job_declared(tell: Tell, need: MakeNeed) -> None:
    """A service that cannot be pulled ends the job before its own image is looked up."""
    service = need(hub("bitnami/redis", "7.2"), failure="not_found")
    trace, rows = tell((16, 5, 0), services=(service,), mishap="service_pull")

    assert (
        b'\x1b[31;1mERROR: Job failed: failed to pull image "bitnami/redis:7.2" with specified '
        b"policies [always]: Error response from daemon: manifest for bitnami/redis:7.2 not found: "
        b"manifest unknown: manifest unknown (manager.go:"
    ) in trace
    assert [(row.role, row.outcome, row.error_kind, row.pull_attempts) for row in rows] == [
        ("job", "declared", None, 0),
        ("service", "failed", "not_found", 1),
    ]


def test_old_runners_try_three_times(tell: Tell, need: MakeNeed) -> None:
    """Before 13.8 a failed pull fails the preparation, which is tried three times."""
    trace, (job,) = tell(
        (13, 2, 0), main=need(hub("acme/x", "1"), failure="denied"), mishap="job_pull"
    )

    assert trace.count(b"Using Docker executor with image acme/x:1 ...") == 3
    assert (
        trace.count(
            b"\x1b[31;1mERROR: Preparation failed: Error response from daemon: pull access denied "
            b"for acme/x, repository does not exist or may require 'docker login': denied: "
            b"requested access to the resource is denied (manager.go:"
        )
        == 3
    )
    assert trace.count(b"\x1b[32;1mWill be retried in 3s ...\n\x1b[0;m") == 3
    assert (job.outcome, job.error_kind, job.pull_attempts) == ("failed", "denied", 3)


def test_hiccup_since_19_2(tell: Tell, need: MakeNeed) -> None:
    """A transient error is retried by the pull itself: one more question to the registry."""
    trace, (job, _) = tell((19, 2, 0), main=need(hub("golang", "1.24"), hiccup="server"))

    assert (
        b'WARNING: Failed to pull image "golang:1.24" (attempt #1), retrying: '
        b"Error response from daemon: received unexpected HTTP status: 503"
    ) in trace
    assert (job.outcome, job.error_kind, job.pull_attempts) == ("pulled", "server", 2)


def test_overridden_helper(tell: Tell, need: MakeNeed) -> None:
    """An overridden helper is named with two blanks; what it replaces is not used."""
    image = hosted("harbor.example.com", "base/gitlab-runner-helper", "v18")
    trace, rows = tell((18, 6, 0), helper=need(image), default_helper="registry.gitlab.com/h:1")

    assert (
        b"\x1b[0KUsing helper image:  harbor.example.com/base/gitlab-runner-helper:v18"
        b"  (overridden, default would be  registry.gitlab.com/h:1 )\x1b[0;m\n"
    ) in trace
    assert [(row.role, row.image, row.outcome) for row in rows] == [
        ("job", "golang:1.24", "pulled"),
        ("helper", "harbor.example.com/base/gitlab-runner-helper:v18", "pulled"),
    ]


def test_default_image_and_platform(tell: Tell, need: MakeNeed) -> None:
    """A job without an image is said to take the default; a platform is named when pulling."""
    trace, (job, _) = tell(
        (18, 2, 0), names_no_image=True, main=need(hub("alpine"), platform="linux/arm64")
    )

    assert (
        b"\x1b[32;1mUsing default image\x1b[0;m\n"
        b"\x1b[0KUsing Docker executor with image alpine ...\x1b[0;m\n"
        b"\x1b[32;1mUsing default image\x1b[0;m\n"
    ) in trace
    assert b"\x1b[0KPulling docker image alpine for platform linux/arm64 ...\x1b[0;m\n" in trace
    assert (job.platform, job.tag) == ("linux/arm64", None)


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ((13, 9, 0),
         b"ERROR: The golang:1.24 is not present on list of allowed images\n\x1b[0;m"),
        ((14, 1, 0),
         b'ERROR: The "golang:1.24" image is not present on list of allowed images:\n\x1b[0;m'),
        ((17, 0, 0),
         b'ERROR: The "golang:1.24" image is not present on list of allowed images:\x1b[0;m\n'),
    ],
)  # fmt: skip
def test_rejected(tell: Tell, version: Version, line: bytes) -> None:
    """An image that is not allowed is rejected before it is even declared."""
    trace, (job,) = tell(version, mishap="rejected")

    assert line in trace
    assert b"Using Docker executor" not in trace
    assert (job.outcome, job.pull_attempts) == ("rejected", 0)


def test_broken_preparation_is_no_failed_image(tell: Tell) -> None:
    """A daemon that is away fails the preparation, not an image."""
    trace, rows = tell((18, 6, 0), preparation_retries=1)

    assert trace.count(b"Using Docker executor with image golang:1.24 ...") == 2
    assert [(row.outcome, row.error_kind) for row in rows] == [("pulled", None), ("present", None)]


def test_lost_container(tell: Tell) -> None:
    """A container that vanishes is made again from an image that is pulled again."""
    trace, (job, _) = tell((19, 1, 0), loses_container=True)

    assert b'ERROR: Container "' in trace
    assert trace.count(b"00O \x1b[0KPulling docker image golang:1.24 ...\x1b[0;m\n") == 2
    assert (job.outcome, job.pull_attempts) == ("pulled", 2)


def test_shape_of_a_trace_with_timestamps(tell: Tell) -> None:
    """From 18.7 time stamps are on by default; from 19.1 markers are kept whole."""
    heads = {}
    for version in ((18, 7, 0), (19, 1, 0)):
        lines = tell(version)[0].split(b"\n")[:5]
        assert all(line.startswith(b"2026-01-21T09:47:05.") for line in lines)
        heads[version] = [line[28:] for line in lines[2:]]

    assert heads[18, 7, 0] == [
        b"00O section_start:1768988825:prepare_executor\r",
        b'00O+\x1b[0K\x1b[0K\x1b[36;1mPreparing the "docker" executor\x1b[0;m\x1b[0;m',
        b"00O \x1b[0KUsing Docker executor with image golang:1.24 ...\x1b[0;m",
    ]
    assert heads[19, 1, 0] == [
        b"00O section_start:1768988825:prepare_executor\r\x1b[0K",
        b'00O+\x1b[0K\x1b[36;1mPreparing the "docker" executor\x1b[0;m\x1b[0;m',
        b"00O \x1b[0KUsing Docker executor with image golang:1.24 ...\x1b[0;m",
    ]


def test_first_and_last_lines(tell: Tell) -> None:
    """The header names version, runner and system; the last line the result."""
    lines = tell((16, 5, 0))[0].split(b"\n")

    assert lines[0].startswith(b"\x1b[0KRunning with gitlab-runner 16.5.0 (")
    assert lines[1].startswith(b"\x1b[0K  on build-04 ")
    assert b", system ID: s_" in lines[1]
    assert lines[-2].endswith(b":cleanup_file_variables\r\x1b[0K\x1b[32;1mJob succeeded\x1b[0;m")
