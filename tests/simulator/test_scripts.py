"""Pulls and builds by the script: the tools' lines and the truth beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from logminer.simulator import Planted
from logminer.simulator.catalogue import hub, own
from logminer.simulator.recipes import Step

if TYPE_CHECKING:
    from logminer.simulator.catalogue import Image

Tell = Callable[..., tuple[bytes, tuple[Planted, ...]]]


def _run(tell: Tell, kind: str, *images: Image, **more: str) -> tuple[str, list[Planted]]:
    trace, rows = tell((17, 9, 0), steps=(Step(kind=kind, images=images),), **more)
    return trace.decode(), [row for row in rows if row.origin == "script"]


def test_pull(tell: Tell) -> None:
    """A pull is named by its status line, where the client has filled in the tag."""
    trace, (row,) = _run(tell, "pull", hub("alpine"))

    assert "\x1b[32;1m$ docker pull " in trace
    assert "\nUsing default tag: latest\nlatest: Pulling from library/alpine\n" in trace
    assert f"\nDigest: {row.digest}\nStatus: " in trace
    assert trace.partition("Status: ")[2].partition("\n")[0] in {
        "Downloaded newer image for alpine:latest",
        "Image is up to date for alpine:latest",
    }
    assert "\ndocker.io/library/alpine:latest\n" in trace
    assert (row.role, row.outcome, row.image, row.tag, row.repository) == (
        "script", "pulled", "alpine:latest", "latest", "library/alpine",
    )  # fmt: skip
    assert row.downloaded is ("Downloaded newer image" in trace)


@pytest.mark.parametrize(
    ("kind", "image"), [("denied", "acme/tool"), ("not_found", "acme/tool:latest")]
)
def test_refused_pull(tell: Tell, kind: str, image: str) -> None:
    """A pull that fails is named as its error names it."""
    trace, (row,) = _run(tell, "pull", hub("acme/tool"), mishap="script_pull", failure_kind=kind)

    assert f"for {image}{',' if kind == 'denied' else ' not found'}" in trace
    assert "\x1b[31;1mERROR: Job failed: exit code 1\x1b[0;m\n" in trace
    assert (row.image, row.outcome, row.error_kind, row.pull_attempts) == (image, "failed", kind, 1)


def test_run(tell: Tell) -> None:
    """`docker run` asks only for what the machine has not."""
    trace, (row,) = _run(tell, "run", own("g/tool", "2"))

    assert "Unable to find image 'registry.gitlab.example:5050/g/tool:2' locally\n" in trace
    assert "\n2: Pulling from g/tool\n" in trace
    assert (row.image, row.registry) == (
        "registry.gitlab.example:5050/g/tool:2", "registry.gitlab.example:5050",
    )  # fmt: skip


def test_classic_build(tell: Tell) -> None:
    """Base and copied-from images are builds; `scratch`, stages and the tag given are none."""
    trace, rows = _run(tell, "classic", hub("python", "3.11"), hub("busybox"))

    assert "\nStep 1/7 : FROM python:3.11 as build\n" in trace
    assert "\nStep 4/7 : FROM scratch\n" in trace
    assert "\nStep 5/7 : COPY --from=build /src/out /\n" in trace
    assert "\nSuccessfully tagged registry.gitlab.example:5050/acme/shop/web:ci-0\n" in trace
    assert [(row.role, row.image) for row in rows] == [
        ("build", "python:3.11"),
        ("build", "busybox"),
    ]
    for row in rows:
        assert row.outcome == ("pulled" if row.digest else "used")
        assert (row.digest is not None) is (row.downloaded is not None)


def test_buildkit(tell: Tell) -> None:
    """BuildKit writes canonical names and digests; pushes and caches are no image uses."""
    trace, rows = _run(tell, "buildkit", hub("node", "22-slim"), hub("busybox"))
    by_image = {row.image: row for row in rows if "dockerfile" not in row.image}

    assert list(by_image) == [
        "docker.io/library/node:22-slim",
        "docker.io/library/busybox:latest",
    ]
    for image, row in by_image.items():
        assert f"[internal] load metadata for {image}\n" in trace
        assert f"FROM {image}@{row.digest}\n" in trace
        assert (row.role, row.outcome, row.pull_attempts) == ("build", "pulled", 1)


def test_buildkit_fails(tell: Tell) -> None:
    """A base image whose metadata cannot be read failed."""
    trace, rows = _run(
        tell, "buildkit", hub("acme/nope", "1"), hub("busybox"), mishap="script_pull",
        failure_kind="denied",
    )  # fmt: skip

    assert (
        "\nERROR: failed to solve: acme/nope:1: failed to resolve source metadata for "
        "docker.io/acme/nope:1: pull access denied, repository does not exist or may require "
        "authorization: server message: insufficient_scope: authorization failed\n"
    ) in trace
    assert (rows[-1].image, rows[-1].outcome, rows[-1].error_kind) == (
        "docker.io/acme/nope:1", "failed", "denied",
    )  # fmt: skip


def test_kaniko(tell: Tell) -> None:
    """Kaniko pads its lines and names images as the Dockerfile does."""
    trace, (row,) = _run(tell, "kaniko", hub("centos", "7"))

    assert "\x1b[36mINFO\x1b[0m[0000] Retrieving image manifest centos:7       " in trace
    assert "Retrieving image centos:7 from registry index.docker.io" in trace
    assert (row.role, row.image, row.outcome) == ("build", "centos:7", "pulled")
