"""Other tools than Docker's in a script: their lines and the truth beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from logminer.simulator import Planted
from logminer.simulator.catalogue import hub, own
from logminer.simulator.dice import dice
from logminer.simulator.recipes import Step

if TYPE_CHECKING:
    from logminer.simulator.catalogue import Image

Tell = Callable[..., tuple[bytes, tuple[Planted, ...]]]


def _run(
    tell: Tell, kind: str, *images: Image, seed: int = 0, **more: str
) -> tuple[str, list[Planted]]:
    trace, rows = tell(
        (17, 9, 0), steps=(Step(kind=kind, images=images),), rng=dice("tools", seed), **more
    )
    return trace.decode(), [row for row in rows if row.origin == "script"]


def test_podman(tell: Tell) -> None:
    """A pull names the image in full, three dots glued to it, and ends with a bare ID."""
    trace, (row,) = _run(tell, "podman", hub("alpine", "3.20"))
    lines = trace.splitlines()
    begin = lines.index("Trying to pull docker.io/library/alpine:3.20...")

    assert lines[begin - 2].endswith("$ podman pull alpine:3.20\x1b[0;m")
    assert lines[begin - 1].startswith('Resolved "alpine" as an alias (/etc/containers/')
    assert lines[begin + 1] == "Getting image source signatures"
    assert lines[begin + 6] == "Writing manifest to image destination"
    assert len(lines[begin + 7]) == 64
    assert (row.role, row.image, row.outcome, row.pull_attempts) == (
        "script", "docker.io/library/alpine:3.20", "pulled", 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("denied", "requested access to the resource is denied"),
        ("not_found", "manifest unknown"),
        ("unauthorized", "unauthorized: authentication required"),
        ("rate_limited", "toomanyrequests: You have reached your pull rate limit."),
    ],
)
def test_podman_fails(tell: Tell, kind: str, words: str) -> None:
    """A pull that fails says of what it could not read the manifest, and ends the job."""
    trace, (row,) = _run(
        tell, "podman", own("g/tool", "2"), mishap="script_pull", failure_kind=kind
    )
    name = "registry.gitlab.example:5050/g/tool"

    assert (
        f"\nError: initializing source docker://{name}:2: reading manifest 2 in {name}: {words}"
    ) in trace
    assert "ERROR: Job failed: exit code 1" in trace
    assert (row.image, row.outcome, row.error_kind) == (f"{name}:2", "failed", kind)


def test_podman_build(tell: Tell) -> None:
    """A base image is a build's, named in full where it is pulled; tags given are none."""
    found = set()
    for seed in range(8):
        trace, (row,) = _run(tell, "podman_build", hub("python", "3.11"), seed=seed)
        assert "[1/2] STEP 1/3: FROM python:3.11 AS builder\n" in trace
        assert "Successfully tagged localhost/ci-0:latest\n" in trace
        pulled = "Trying to pull docker.io/library/python:3.11...\n" in trace
        found.add((pulled, row.role, row.image, row.outcome, row.pull_attempts))

    assert found == {
        (True, "build", "docker.io/library/python:3.11", "pulled", 1),
        (False, "build", "python:3.11", "used", 0),
    }


def test_compose(tell: Tell) -> None:
    """Compose 1 and 5 name images, compose 2 names services alone."""
    found = {}
    for seed in range(12):
        trace, rows = _run(tell, "compose", hub("postgres", "15"), seed=seed)
        if "\nPulling db (postgres:15)...\n15: Pulling from library/postgres\n" in trace:
            found[1] = rows
        elif "\n db Pulling \n" in trace:
            assert "postgres" not in trace.partition("docker compose pull")[2]
            found[2] = rows
        elif "\n Image postgres:15 Pulling \n" in trace:
            assert "\n Image postgres:15 Pulled \n" in trace
            found[5] = rows

    assert sorted(found) == [1, 2, 5]
    assert found[2] == []
    assert found[1][0].digest is not None
    for generation in (1, 5):
        (row,) = found[generation]
        assert (row.image, row.outcome, row.pull_attempts) == ("postgres:15", "pulled", 1)


def test_crane(tell: Tell) -> None:
    """The source of a copy is an image use, its target is none."""
    trace, (row,) = _run(tell, "crane", hub("busybox", "1.36"))

    assert " Copying from busybox:1.36 to registry.gitlab.example:5050/" in trace
    assert "/mirror:1: digest: sha256:" in trace
    assert (row.image, row.outcome, row.digest) == ("busybox:1.36", "pulled", None)


def test_skopeo(tell: Tell) -> None:
    """A copy names nothing, a sync names its source."""
    trace, (row,) = _run(tell, "skopeo", hub("redis", "7"), hub("node", "22"))

    assert trace.count("Getting image source signatures\n") == 2
    assert 'from="docker://docker.io/library/node:22" to="docker://registry.gitlab' in trace
    assert "library/redis" not in trace
    assert (row.image, row.outcome) == ("docker.io/library/node:22", "pulled")


def test_nerdctl(tell: Tell) -> None:
    """The first row of the table is the reference in full."""
    trace, (row,) = _run(tell, "nerdctl", hub("caddy"))
    lines = trace.splitlines()
    first = next(line for line in lines if line.startswith("docker.io/library/caddy:latest:"))

    assert first.split()[1:] == ["resolved", "|++++++++++++++++++++++++++++++++++++++|"]
    assert lines[lines.index(first) + 1].startswith("index-sha256:")
    assert any(line.startswith("elapsed: ") and "total:" in line for line in lines)
    assert (row.role, row.image, row.outcome) == (
        "script", "docker.io/library/caddy:latest", "pulled",
    )  # fmt: skip


def test_helm(tell: Tell) -> None:
    """What helm pulls is a chart, though it has a digest and stands in a registry."""
    trace, rows = _run(tell, "helm", own("any/thing", "1"))

    assert "\nPulled: registry.gitlab.example:5050/acme/charts/web:1.4.2\nDigest: sha256:" in trace
    assert rows == []


@pytest.mark.parametrize(
    ("executor", "version", "lines"),
    [
        ("ssh", (15, 11, 1), ["Using SSH executor..."]),
        ("shell", (15, 8, 2), ["Using Shell executor..."]),
        ("shell", (15, 9, 1), ["Using Shell (bash) executor..."]),
        ("instance", (18, 2, 0), ["Preparing instance...", "Dialing instance i-"]),
        ("custom", (18, 5, 0), ["Using Custom executor with driver sandbox 1.4.0..."]),
        ("virtualbox", (14, 1, 0), ["Using VirtualBox version 7.0.18r162988 executor..."]),
        ("virtualbox", (14, 2, 0), ['WARNING: No allowed_images configuration found for "macos']),
    ],
)
def test_executors_without_containers(
    tell: Tell, executor: str, version: tuple[int, int, int], lines: list[str]
) -> None:
    """Their preparation names machines, and what they call an image is a machine's."""
    trace, rows = tell(version, executor=executor)
    text = trace.decode()

    assert f'Preparing the "{executor}" executor' in text
    assert all(line in text for line in lines)
    assert ("No allowed_images" in text) == (executor == "virtualbox" and version >= (14, 2, 0))
    assert "Job succeeded" in text
    assert rows == ()


def test_windows(tell: Tell) -> None:
    """The executor for Windows prints what the docker executor prints, under its own name."""
    trace, (row,) = tell((17, 9, 2), executor="docker-windows")

    assert 'Preparing the "docker-windows" executor' in trace.decode()
    assert "Using Docker executor with image golang:1.24 ..." in trace.decode()
    assert (row.role, row.outcome) == ("job", "pulled")
