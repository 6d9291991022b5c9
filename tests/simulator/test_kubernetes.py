"""The Kubernetes executor's sentences: what it names, and what the truth may therefore hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from logminer.simulator import Planted
from logminer.simulator.catalogue import hosted, hub, unresolved
from logminer.simulator.plan import Need

if TYPE_CHECKING:
    from logminer.simulator.writer import Version

Tell = Callable[..., tuple[bytes, tuple[Planted, ...]]]
MakeNeed = Callable[..., Need]

_HELPER = hosted("registry.gitlab.com", "gitlab-org/gitlab-runner/gitlab-runner-helper", "v1")


def test_silence(tell: Tell, need: MakeNeed) -> None:
    """Without events only the job's image is named: services and helper have no row."""
    trace, (job,) = tell(
        (17, 9, 0), executor="kubernetes", services=(need(hub("redis")),), helper=need(_HELPER)
    )

    assert b"\x1b[0KUsing Kubernetes executor with image golang:1.24 ...\x1b[0;m\n" in trace
    assert b"\nWaiting for pod ci-build-04/runner-" in trace
    assert b'\tContainersNotReady: "containers with unready status: [build helper svc-0]"' in trace
    assert (job.role, job.outcome, job.pull_attempts, job.digest) == ("job", "used", 0, None)


def test_policies_name_containers(tell: Tell) -> None:
    """From 18.0 the policies are listed for containers, not for images."""
    trace, (job,) = tell((18, 6, 0), executor="kubernetes", runner={"policies": ("Always",)})

    for name in (b"build", b"helper", b"init-permissions"):
        line = b"\x1b[0KUsing effective pull policy of [Always] for container " + name
        assert line + b"\x1b[0;m\n" in trace
    assert job.pull_policy == "Always"


def test_events_name_everything(tell: Tell, need: MakeNeed) -> None:
    """Pod events name helper and services; the container that is created gives the role."""
    trace, rows = tell(
        (17, 9, 0),
        executor="kubernetes",
        runner={"pod_events": True, "policies": ("IfNotPresent",)},
        services=(need(hub("redis"), cached=True),),
        helper=need(_HELPER, cached=True),
    )

    assert (
        b"\x1b[0KSubscribing to Kubernetes Pod events...\x1b[0;m\nType     Reason      Message\n"
    ) in trace
    assert b'\nNormal   Pulling   Pulling image "golang:1.24"\n' in trace
    assert b'\nNormal   Pulled   Container image "redis" already present on machine\n' in trace
    assert [(row.role, row.image, row.outcome, row.pull_attempts) for row in rows] == [
        ("job", "golang:1.24", "pulled", 1),
        ("helper", _HELPER.written, "present", 0),
        ("service", "redis", "present", 0),
    ]


@pytest.mark.parametrize(
    ("version", "warning", "error"),
    [
        ((17, 2, 0), b'image with policy "Always": image pull failed: rpc',
         b'pulling image "golang:1.24": image pull failed: rpc'),
        ((17, 3, 0), b'image "golang:1.24" with policy "Always": image pull failed: rpc',
         b'pulling image "golang:1.24": image pull failed: rpc'),
        ((17, 5, 0),
         b'image "golang:1.24" for container "build" with policy "Always": image pull failed: rpc',
         b'pulling image "golang:1.24" for container build: image pull failed: rpc'),
    ],
)  # fmt: skip
def test_failed_pull(
    tell: Tell, need: MakeNeed, version: Version, warning: bytes, error: bytes
) -> None:
    """The warning names the image from 17.3 and the container from 17.5."""
    trace, (job,) = tell(
        version, executor="kubernetes", runner={"policies": ("Always",)},
        main=need(hub("golang", "1.24"), failure="not_found"), mishap="job_pull",
    )  # fmt: skip

    assert b"\x1b[0;33mWARNING: Failed to pull " + warning in trace
    assert (
        b"ERROR: Job failed (system failure): prepare environment: waiting for pod running: "
        + error
    ) in trace
    assert (job.outcome, job.error_kind, job.pull_attempts, job.pull_policy) == (
        "failed", "not_found", 1, "Always",
    )  # fmt: skip


def test_second_policy(tell: Tell, need: MakeNeed) -> None:
    """A second policy is announced and rescues the job; that the image was used is all we know."""
    trace, (job,) = tell(
        (17, 9, 0), executor="kubernetes", runner={"policies": ("Always", "IfNotPresent")},
        main=need(hub("golang", "1.24"), cached=True, failure="network"),
    )  # fmt: skip

    assert (
        b'\x1b[32;1mAttempt #2: Trying "IfNotPresent" pull policy for "golang:1.24" image '
        b'for container "build"\x1b[0;m\n'
    ) in trace
    assert (job.outcome, job.error_kind, job.pull_attempts) == ("used", "network", 1)


def test_unresolved_name(tell: Tell, need: MakeNeed) -> None:
    """A name with a variable in it is kept as written and has no parts."""
    trace, (job,) = tell(
        (13, 9, 0), executor="kubernetes", main=need(unresolved("$CI_REGISTRY_IMAGE/x:1"))
    )

    assert b"Using Kubernetes executor with image $CI_REGISTRY_IMAGE/x:1 ...\n\x1b[0;m" in trace
    assert (job.image, job.registry, job.repository, job.tag, job.outcome) == (
        "$CI_REGISTRY_IMAGE/x:1", None, None, None, "used",
    )  # fmt: skip


def test_empty_line_before_the_end_of_a_section(tell: Tell) -> None:
    """The attach strategy leaves an empty line before `section_end`."""
    trace, _ = tell((15, 10, 0), executor="kubernetes")

    assert b"\n\nsection_end:1768988" in trace


@pytest.mark.parametrize(
    ("version", "named"),
    [((13, 9, 0), "docker.io/library/postgres:15"), ((13, 12, 0), "postgres:15")],
)
def test_name_in_a_failure(
    tell: Tell, need: MakeNeed, version: tuple[int, int, int], named: str
) -> None:
    """Before 13.11 only the kubelet names a service that cannot be had, and does so in full."""
    trace, rows = tell(
        version,
        executor="kubernetes",
        services=(need(hub("postgres", "15"), failure="not_found"),),
        runner={"policies": ("IfNotPresent",)},
    )

    assert f'"{named}"'.encode() in trace
    assert [(row.role, row.image, row.outcome) for row in rows if row.role == "service"] == [
        ("service", named, "failed")
    ]
