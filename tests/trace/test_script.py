"""What the tools of a script say: one build's state never colours another's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Rows = Callable[..., list[tuple[object, ...]]]

D1, D2 = "sha256:" + "1a" * 32, "sha256:" + "2b" * 32
LAYER = "sha256:" + "3c" * 32


def test_a_vertex_number_means_another_step_in_the_next_build(of_script: Rows) -> None:
    """`#5` of the second build is no longer the base image of the first."""
    output = f"""
#0 building with "default" instance using docker driver
#5 [1/2] FROM docker.io/library/node:22@{D1}
#5 CACHED
#0 building with "default" instance using docker driver
#5 importing cache manifest from registry.example.com/g/i:cache
#5 ERROR: registry.example.com/g/i:cache: not found
"""
    columns = ("image", "outcome", "downloaded", "pull_attempts", "error_kind")

    assert of_script(output, *columns) == [("docker.io/library/node:22", "pulled", False, 1, None)]


@pytest.mark.parametrize(
    "head",
    [
        "#5 [internal] load build context",
        "#5 [auth] library/node:pull token for registry-1.docker.io",
        "#5 exporting to image",
        "#1 [internal] load build definition from Dockerfile",
    ],
)
def test_the_head_of_another_step_takes_the_number_over(of_script: Rows, head: str) -> None:
    """Older clients do not announce a build: the heads of its steps do."""
    output = f"""
#5 [1/2] FROM docker.io/library/node:22@{D1}
{head}
#5 {LAYER} 29.12MB / 29.12MB 1.3s done
"""

    assert of_script(output, "image", "downloaded") == [("docker.io/library/node:22", None)]


def test_a_failed_layer_is_no_second_attempt(of_script: Rows) -> None:
    """The registry was asked once: the error is kept beside the outcome."""
    output = f"""
#5 [1/2] FROM docker.io/library/node:22@{D1}
#5 ERROR: failed to copy: httpReadSeeker: unexpected EOF
"""

    assert of_script(output, "pull_attempts", "error_kind") == [(1, "network")]


def test_a_stage_is_a_stage_of_its_own_build_only(of_script: Rows) -> None:
    """A second build may well pull an image that is called like a stage of the first."""
    output = """
Step 1/2 : FROM node:18 AS base
 ---> eeb6ee3f44bd
Step 2/2 : FROM base
 ---> eeb6ee3f44bd
Step 1/1 : FROM base
 ---> aab6ee3f44bd
"""

    assert of_script(output, "image", "outcome") == [("node:18", "used"), ("base", "used")]


def test_a_build_that_failed_is_not_rescued_by_the_next(of_script: Rows) -> None:
    """The first step of another build says nothing of the last one's base image."""
    output = """
Step 1/2 : FROM nope:1
no such file or directory
Step 1/2 : FROM alpine:3
 ---> eeb6ee3f44bd
STEP 1/2: FROM nope:2
Trying to pull docker.io/library/nope:2...
Error: initializing source docker://nope:2: reading manifest 2 in docker.io/library/nope: denied
STEP 1/2: FROM alpine:4
STEP 2/2: RUN true
"""

    assert of_script(output, "image", "outcome") == [
        ("nope:1", "declared"),
        ("alpine:3", "used"),
        ("docker.io/library/nope:2", "failed"),
        ("alpine:4", "used"),
    ]


def test_copy_from_takes_options_in_any_order(of_script: Rows) -> None:
    """`--from` need not be the first option; a stage's number is no image."""
    output = """
Step 1/4 : FROM scratch
Step 2/4 : COPY --chown=1000:1000 --from=busybox:1.36 /bin/sh /sh
 ---> eeb6ee3f44bd
Step 3/4 : COPY --link --from=0 /a /a
Step 4/4 : COPY --chmod=755 a b
"""

    assert of_script(output, "image", "outcome") == [("busybox:1.36", "used")]


def test_a_base_without_this_platform_failed(of_script: Rows) -> None:
    """The classic builder prints the bare sentence."""
    output = """
Step 1/2 : FROM alpine:3
no matching manifest for linux/s390x in the manifest list entries
"""

    assert of_script(output, "image", "outcome", "error_kind") == [
        ("alpine:3", "failed", "platform")
    ]


def test_an_old_label_makes_room(of_script: Rows) -> None:
    """A wrapper that never repeats a label must not cost later pulls their digest."""
    junk = "".join(f"[{n}] 3: Pulling from library/other\n" for n in range(100))
    output = f"""{junk}3: Pulling from library/alpine
Digest: {D1}
Status: Downloaded newer image for alpine:3
"""

    assert of_script(output, "image", "digest") == [("alpine:3", D1)]


def test_parallel_pulls_keep_their_digests_apart(of_script: Rows) -> None:
    """The label before each line says which block it belongs to."""
    output = f"""
[a] 3: Pulling from library/alpine
[b] 7: Pulling from library/redis
[b] Digest: {D2}
[a] Digest: {D1}
[b] Status: Downloaded newer image for redis:7
[a] Status: Image is up to date for alpine:3
"""

    assert of_script(output, "image", "digest", "downloaded") == [
        ("redis:7", D2, True),
        ("alpine:3", D1, False),
    ]


@pytest.mark.parametrize(
    ("echo", "image"),
    [
        ("docker pull alpine:3", "alpine:3"),
        ("sudo docker image pull -q 'alpine:3'", "alpine:3"),
        ("docker run --rm -e A=B --name x alpine:3 sh", "alpine:3"),
        ("docker pull $IMAGE", None),
        ("docker pull -q", None),
    ],
)
def test_an_error_without_a_name_is_of_the_literal_command(
    of_script: Rows, echo: str, image: str | None
) -> None:
    """Only an argument that no variable hides names the image."""
    output = f"$ {echo}\nError response from daemon: toomanyrequests: slow down\n"

    assert of_script(output, "image") == ([(image,)] if image else [])


def test_an_error_is_not_of_a_pull_that_succeeded(of_script: Rows) -> None:
    """The echoed command is over when its image has arrived."""
    output = """$ docker pull alpine:3
Status: Image is up to date for alpine:3
Error response from daemon: toomanyrequests: slow down
"""

    assert of_script(output, "image", "outcome", "error_kind") == [("alpine:3", "pulled", None)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("docker: Error response from daemon: received unexpected HTTP status: 500", "server"),
        ('docker: Error response from daemon: Get "https://r.example.com/v2/": EOF', "network"),
    ],
)
def test_what_the_daemon_says_after_a_missing_image_ends_that_run(
    of_script: Rows, error: str, kind: str
) -> None:
    """`Unable to find image` announces a pull; any error that follows is its end."""
    output = f"Unable to find image 'alpine:3' locally\n{error}\n"

    assert of_script(output, "image", "outcome", "error_kind", "pull_attempts") == [
        ("alpine:3", "failed", kind, 1)
    ]


def test_a_daemon_error_about_no_pull_is_no_row(of_script: Rows) -> None:
    """Most of what a daemon complains about is no image."""
    assert of_script("Error response from daemon: No such container: web\n", "image") == []


def test_of_several_candidates_the_last_can_have_answered(of_script: Rows) -> None:
    """Registries that were asked in vain failed, and a base image has one row for all of them."""
    output = """
Trying to pull registry.example.com/tool:1...
Trying to pull docker.io/library/tool:1...
Getting image source signatures
STEP 1/2: FROM base:2
Trying to pull registry.example.com/base:2...
Trying to pull docker.io/library/base:2...
Getting image source signatures
STEP 2/2: RUN true
"""

    assert of_script(output, "role", "image", "outcome", "pull_attempts") == [
        ("script", "registry.example.com/tool:1", "failed", 1),
        ("script", "docker.io/library/tool:1", "pulled", 1),
        ("build", "docker.io/library/base:2", "pulled", 2),
    ]


def test_a_build_in_stages_goes_on_at_step_one(of_script: Rows) -> None:
    """`[2/2] STEP 1/…` begins a stage, not a build: earlier stages are still names."""
    output = """
[1/2] STEP 1/2: FROM golang:1.23 AS builder
[1/2] STEP 2/2: RUN make
[2/2] STEP 1/2: FROM builder
[2/2] STEP 2/2: COPY . .
"""

    assert of_script(output, "image", "outcome") == [("golang:1.23", "used")]


@pytest.mark.parametrize(
    "output",
    [
        "Step 1/2 : FROM ${BASE}\n",
        "Step 1/2 : FROM a b c d\n",
        "Unable to find image '$X' locally\n",
        "Status: Downloaded newer image for $X\n",
        "Pulling db ($X)...\n",
        " Image $X Pulling \n",
        "#2 [internal] load metadata for $X\n",
        "#2 CACHED\n",
        "INFO[0000] Retrieving image manifest $X\n",
        "INFO[0000] Returning cached image manifest\n",
        "error building image: no\n",
        "STEP 1/2: FROM $X\nTrying to pull $X...\nGetting image source signatures\n",
        "Error: initializing source docker://$X: no\n",
        "2024/01/02 15:04:05 Copying from $X to registry.example.com/a:1\n",
        f"Digest: {D1}\n",
        "Getting image source signatures\n",
        "STEP 1/2: FROM scratch\nTrying to pull $X...\n",
        "Error response from daemon: manifest for $X not found\n",
        "$ docker pull a:1\n",
        "latest: Pulling from library/alpine\n",
    ],
)
def test_what_cannot_be_named_in_full_is_no_row(of_script: Rows, output: str) -> None:
    """A variable, or half of a name, is no image."""
    assert of_script(output, "image") == []


def test_compose_repeats_itself(of_script: Rows) -> None:
    """Progress that is drawn again is one attempt."""
    output = (
        " Image postgres:16 Pulling \n Image postgres:16 Pulling \n Image postgres:16 Pulled \n"
    )

    assert of_script(output, "image", "outcome", "pull_attempts") == [("postgres:16", "pulled", 1)]


def test_kaniko_asks_once_for_each_image(of_script: Rows) -> None:
    """Manifest and image are asked for in two lines; the next image shows the first came."""
    output = """
INFO[0000] Resolved base name golang:1 to build
INFO[0000] Retrieving image manifest golang:1
INFO[0000] Retrieving image golang:1 from registry index.docker.io
INFO[0001] Retrieving image manifest alpine:3
INFO[0001] Retrieving image manifest build
error building image: GET https://registry.example.com/v2/x: UNAUTHORIZED: authentication required
"""

    assert of_script(output, "image", "outcome", "pull_attempts", "error_kind") == [
        ("golang:1", "pulled", 1, None),
        ("alpine:3", "failed", 1, "unauthorized"),
    ]


def test_a_pull_between_the_steps_of_a_build_is_the_scripts(of_script: Rows) -> None:
    """Only what may be the base image is the build's; what has no name is nothing."""
    output = """
STEP 1/2: FROM base:2
Trying to pull registry.example.com/other:1...
Trying to pull $X...
STEP 2/2: RUN true
"""

    assert of_script(output, "role", "image", "outcome") == [
        ("build", "base:2", "used"),
        ("script", "registry.example.com/other:1", "failed"),
    ]


def test_stages_are_bounded(of_script: Rows) -> None:
    """Of more stages than anybody writes, the last are no longer known."""
    steps = "".join(f"Step {n}/2000 : FROM scratch AS s{n}\n" for n in range(2, 1100))
    output = f"{steps}Step 1100/2000 : FROM s2\nStep 1101/2000 : FROM s1099\n ---> eeb6ee3f44bd\n"

    assert of_script(output, "image") == [("s1099",)]
