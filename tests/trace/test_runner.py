"""The runner's lines: which image each speaks of, across services, retries and pod events."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from logminer.trace import Extractor

Rows = Callable[..., list[tuple[object, ...]]]

ID, ID2 = "sha256:" + "1a" * 32, "sha256:" + "2b" * 32
DIGEST = "sha256:" + "3c" * 32


def test_credentials_are_for_one_image(of_runner: Rows) -> None:
    """What was said for a service that was found locally is not said for the job."""
    sentences = """
Using Docker executor with image registry.example.com/app:1 ...
Starting service registry.example.com/db:1...
Authenticating with credentials from $DOCKER_AUTH_CONFIG
Starting service postgres:16...
Pulling docker image postgres:16 ...
Waiting for services to be up and running (timeout 30 seconds)...
Pulling docker image registry.example.com/app:1 ...
"""

    assert of_runner(sentences, "role", "image", "credentials") == [
        ("job", "registry.example.com/app:1", None),
        ("service", "registry.example.com/db:1", None),
        ("service", "postgres:16", None),
    ]


def test_credentials_come_before_the_pull_they_are_for(of_runner: Rows) -> None:
    """The policy of the next image ends what was said for the one before."""
    sentences = f"""
Using Docker executor with image a:1 ...
Using effective pull policy of [if-not-present] for container {ID}
Authenticating with credentials from /root/.docker/config.json
Using effective pull policy of [always] for container a:1
Authenticating with credentials from job payload (GitLab Registry)
Pulling docker image a:1 ...
Using docker image {ID2} for a:1 ...
"""

    assert of_runner(sentences, "role", "credentials", "outcome") == [
        ("job", "job payload (GitLab Registry)", "pulled"),
        ("helper", None, "present"),
    ]


def test_found_locally_is_of_the_image_in_hand(of_runner: Rows) -> None:
    """Where no "Using docker image" follows, the next service does not get it."""
    sentences = """
Using Docker executor with image a:1 ...
Starting service redis:7...
Using locally found image version due to "if-not-present" pull policy
Starting service postgres:16...
Waiting for services to be up and running...
Using locally found image version due to "if-not-present" pull policy
"""

    assert of_runner(sentences, "image", "outcome", "pull_policy") == [
        ("a:1", "present", "if-not-present"),
        ("redis:7", "present", "if-not-present"),
        ("postgres:16", "declared", None),
    ]


def test_a_repeated_preparation_adds_attempts_and_no_rows(of_runner: Rows) -> None:
    """Lossy service names come again with each repetition and mean the same rows."""
    once = f"""
Using Docker executor with image a:1 ...
Starting service registry.example.com/db:1...
Pulling docker image registry.example.com:5000/db:1 ...
Using docker image {ID} for registry.example.com:5000/db:1 with digest x@{DIGEST} ...
Waiting for services to be up and running...
Pulling docker image a:1 ...
"""
    sentences = f"{once}ERROR: Preparation failed: no space left (docker.go:1:0s)\n{once}"
    columns = ("image", "outcome", "pull_attempts", "digest", "error_message")

    assert of_runner(sentences, *columns) == [
        ("a:1", "failed", 2, None, "no space left"),
        ("registry.example.com:5000/db:1", "pulled", 2, DIGEST, None),
    ]


def test_two_lossy_names_of_one_service(of_runner: Rows) -> None:
    """A row that was only announced yields to the row of its better name."""
    sentences = """
Using Docker executor with image a:1 ...
Starting service registry.example.com:5000/db:1...
Pulling docker image registry.example.com:5000/db:1 ...
Starting service registry.example.com/db:1...
Pulling docker image registry.example.com:5000/db:1 ...
Starting service registry.example.com/db:1...
Waiting for services to be up and running...
"""

    assert of_runner(sentences, "ordinal", "role", "image", "pull_attempts") == [
        (1, "job", "a:1", 0),
        (2, "service", "registry.example.com:5000/db:1", 2),
    ]


def test_a_row_that_was_tried_keeps_its_name_beside_another(of_runner: Rows) -> None:
    """What is known of a row is not thrown away for a better name of its service."""
    sentences = """
Using Docker executor with image a:1 ...
Starting service db:1...
Pulling docker image db:1 ...
Starting service cache:1...
Pulling docker image cache:1 ...
Pulling docker image db:1 ...
"""

    assert of_runner(sentences, "image", "pull_attempts") == [
        ("a:1", 0),
        ("db:1", 2),
        ("cache:1", 1),
    ]


def test_an_observed_digest_outlives_a_better_name(of_runner: Rows) -> None:
    """A row may be renamed after its digest was seen."""
    sentences = f"""
Using Docker executor with image a:1 ...
Starting service postgres:latest...
Using docker image {ID} for postgres:latest with digest postgres@{DIGEST} ...
Using docker image {ID} for postgres ...
"""

    assert of_runner(sentences, "image", "digest", "image_id")[1] == ("postgres", DIGEST, ID)


def test_old_sentences_name_the_role(of_runner: Rows) -> None:
    """Up to 10.4 "for X" is a role or a service's name, and the job's name may be spelt anew."""
    sentences = f"""
Using Docker executor with image ruby ...
Starting service redis:latest ...
Using docker image redis:latest ID={ID} for redis service...
Waiting for services to be up and running...
Using docker image gitlab/gitlab-runner-helper:x86_64-1 ID={ID2} for predefined container...
Using docker image ruby:latest ID={ID} for build container...
Using docker image ruby:latest ID={ID} for build container...
"""

    assert of_runner(sentences, "role", "image", version="9.5.0") == [
        ("job", "ruby:latest"),
        ("service", "redis:latest"),
        ("helper", "gitlab/gitlab-runner-helper:x86_64-1"),
    ]


def test_a_helper_is_known_by_its_announcement(of_runner: Rows) -> None:
    """A configured helper has any name; what it overrides is no image of the job."""
    sentences = f"""
Using Docker executor with image a:1 ...
Using helper image:  tools/any:1  (overridden, default would be  default/helper:1 )
Pulling docker image tools/any:1 ...
Using docker image {ID} for tools/any:1 ...
Pulling docker image other/unannounced:1 ...
"""

    assert of_runner(sentences, "role", "image", "outcome") == [
        ("job", "a:1", "declared"),
        ("helper", "tools/any:1", "pulled"),
        ("helper", "other/unannounced:1", "declared"),
    ]


def test_an_unreadable_id_is_no_image(of_runner: Rows) -> None:
    """People shorten IDs before they paste a log."""
    sentences = """
Using Docker executor with image a:1 ...
Using effective pull policy of [always] for container sha256:abc...
"""

    assert of_runner(sentences, "image", "pull_policy") == [("a:1", None)]


def test_an_announced_retry_is_one_attempt(of_runner: Rows) -> None:
    """With a line of its own, or without."""
    retried = 'WARNING: Failed to pull image "a:1" (attempt #{}), retrying: unexpected EOF'
    begun = "Using Docker executor with image a:1 ...\nPulling docker image a:1 ...\n"
    shown = f"{begun}{retried.format(1)}\nPulling docker image a:1 ...\n"
    hidden = (
        f"{begun}{retried.format(1)}\n{retried.format(2)}\nUsing docker image {ID} for a:1 ...\n"
    )
    other = f"{begun}{retried.format(1)}\nPulling docker image b:1 ...\n"

    assert of_runner(shown, "pull_attempts") == [(2,)]
    assert of_runner(hidden, "pull_attempts", "outcome") == [(3, "pulled")]
    assert of_runner(other, "image", "pull_attempts") == [("a:1", 2), ("b:1", 1)]


@pytest.mark.parametrize(
    ("sentence", "role"),
    [
        ('ERROR: The "a:1" image is not present on list of allowed images:', "job"),
        ('ERROR: The "b:1" image is not present on list of allowed images:', "service"),
        ('ERROR: The "c:1" image is not present on list of allowed images:', "job"),
        ('ERROR: The "a:1" image is not present on list of allowed services:', "service"),
    ],
)
def test_a_refusal_is_of_the_role_that_named_the_image(
    of_runner: Rows, sentence: str, role: str
) -> None:
    """The list's name says it, or else the row that is there."""
    sentences = f"""
Using Docker executor with image a:1 ...
Starting service b:1...
{sentence}
"""

    rejected = [row for row in of_runner(sentences, "role", "outcome") if row[1] == "rejected"]
    assert rejected == [(role, "rejected")]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("exit code 1", ("declared", 1, None)),
        ("Error response from daemon: unexpected EOF (docker.go:1:0s)", ("failed", 1, "network")),
        ("pull access denied for a:1, x (docker.go:1:0s)", ("failed", 1, "denied")),
    ],
)
def test_the_end_of_a_job_is_the_end_of_a_pull_if_it_says_so(
    of_runner: Rows, error: str, expected: tuple[object, ...]
) -> None:
    """A pull that was begun and never answered failed only where the error is about it."""
    sentences = f"""
Using Docker executor with image a:1 ...
Pulling docker image a:1 ...
ERROR: Job failed: {error}
"""

    assert of_runner(sentences, "outcome", "pull_attempts", "error_kind") == [expected]


def test_failures_find_their_row_by_what_the_error_names(of_runner: Rows) -> None:
    """An unknown name beside a request that is known: the request is right."""
    sentences = """
Using Docker executor with image registry.example.com/g/app:1 ...
ERROR: Job failed: failed to pull image "[redacted]" with specified policies [always]: \
Head "https://registry.example.com/v2/g/app/manifests/1": denied (manager.go:1:0s)
"""

    assert of_runner(sentences, "role", "image", "outcome") == [
        ("job", "registry.example.com/g/app:1", "failed")
    ]


def test_an_image_that_only_its_failure_names(of_runner: Rows) -> None:
    """Without a job's image it is the job's; the helper's name betrays it."""
    failed = 'ERROR: Job failed: failed to pull image "{}" with specified policies [never]: no'
    helper = "registry.example.com/gitlab-runner-helper:x86_64-1"
    declared = "Using Docker executor with image a:1 ...\n"

    assert of_runner(failed.format("b:1"), "role", "image", "pull_attempts", "pull_policy") == [
        ("job", "b:1", 0, "never")
    ]
    assert of_runner(failed.format(helper), "role", "image") == [("helper", helper)]
    assert of_runner(declared + failed.format("b:1"), "role", "image") == [
        ("job", "a:1"),
        ("helper", "b:1"),
    ]


def test_a_failure_that_names_nothing_is_no_row(of_runner: Rows) -> None:
    """There is nothing to say of an image that nobody named."""
    sentences = """
WARNING: Failed to pull image with policy "always": toomanyrequests: slow down
Attempt #2: Trying "if-not-present" pull policy
ERROR: Job failed: failed to pull image "" with specified policies [always]: toomanyrequests
ERROR: Preparation failed: toomanyrequests: slow down
ERROR: Job failed: execution took longer than 1h0m0s seconds
Using locally found image version due to if-not-present pull policy
"""

    assert of_runner(sentences, "image") == []


# -- Kubernetes --------------------------------------------------------------------------------


def events(*rows: str) -> str:
    """Write the table of pod events, in an order of kubelet's."""
    return "\n".join(rows) + "\n"


JOB = "Using Kubernetes executor with image app:1 ...\n"


def test_the_container_that_is_created_tells_whose_image_it_is(of_runner: Rows) -> None:
    """The same image may be the job's and a service's; policies were announced by container."""
    sentences = (
        JOB
        + "Using effective pull policy of [Always] for container svc-0\n"
        + "Using effective pull policy of [IfNotPresent] for container build\n"
        + events(
            'Normal   Pulling   Pulling image "app:1"',
            'Normal   Pulled   Successfully pulled image "app:1" in 1.2s',
            "Normal   Created   Created container svc-0",
            'Normal   Pulled   Container image "app:1" already present on machine',
            "Normal   Created   Created container: build",
        )
    )
    columns = ("role", "outcome", "pull_attempts", "pull_policy")

    assert of_runner(sentences, *columns, executor="kubernetes") == [
        ("job", "present", 0, "IfNotPresent"),
        ("service", "pulled", 1, "Always"),
    ]


def test_without_a_container_the_name_decides(of_runner: Rows) -> None:
    """Another image's event, or the end of the log, ends the wait for it."""
    sentences = JOB + events(
        'Normal   Pulling   Pulling image "registry.example.com/gitlab-runner-helper:1"',
        'Warning   Failed   Failed to pull image "registry.example.com/gitlab-runner-helper:1": no',
        'Normal   Pulling   Pulling image "redis:7"',
        "Normal   Scheduled   Successfully assigned ci/runner to node-1",
        "Warning   Failed   Error: ErrImagePull",
        'Normal   Pulling   Pulling image "app:1"',
    )

    assert of_runner(sentences, "role", "image", "outcome", executor="kubernetes") == [
        ("job", "app:1", "declared"),
        ("helper", "registry.example.com/gitlab-runner-helper:1", "failed"),
        ("service", "redis:7", "declared"),
    ]


def test_a_long_back_off_loses_no_attempt(of_runner: Rows) -> None:
    """A kubelet repeats itself for minutes before the image comes after all."""
    back_off = ['Normal   BackOff   Back-off pulling image "app:1"'] * 30
    asked = [
        'Normal   Pulling   Pulling image "app:1"',
        'Warning   Failed   Failed to pull image "app:1": rpc error: i/o timeout',
    ]
    sentences = JOB + events(
        *asked,
        *back_off,
        *asked,
        *back_off,
        'Normal   Pulling   Pulling image "app:1"',
        'Normal   Pulled   Successfully pulled image "app:1" in 2s',
        "Normal   Created   Created container build",
    )
    columns = ("outcome", "pull_attempts", "error_kind")

    assert of_runner(sentences, *columns, executor="kubernetes") == [("pulled", 3, "other")]


def test_unexpanded_variables_get_their_values_from_the_pod(of_runner: Rows) -> None:
    """Up to 13.10 the declaration shows the variable."""
    sentences = "Using Kubernetes executor with image $IMAGE ...\n" + events(
        'Normal   Pulling   Pulling image "app:1"',
        "Normal   Created   Created container build",
    )

    assert of_runner(sentences, "role", "image", executor="kubernetes") == [("job", "app:1")]


def test_an_image_that_never_may_be_pulled_was_not_asked_for(of_runner: Rows) -> None:
    """The policy forbade it: no attempt."""
    sentences = JOB + events(
        "Warning   ErrImageNeverPull   Container image"
        ' "app:1" is not present with pull policy of Never'
    )
    warning = (
        "WARNING: Event retrieved from the cluster: Container image"
        ' "app:1" is not present with pull policy of Never'
    )

    for text in (sentences, JOB + warning):
        assert of_runner(text, "outcome", "pull_attempts", executor="kubernetes") == [("failed", 0)]


@pytest.mark.parametrize(
    "sentence",
    [
        "WARNING: Event retrieved from the cluster: 0/3 nodes are available",
        "WARNING: Event retrieved from the cluster: Created container build",
        '\tErrImagePull: "nothing to see"',
        '\tErrImagePull: "Created container build"',
    ],
)
def test_other_events_name_no_image(of_runner: Rows, sentence: str) -> None:
    """A pod has many troubles."""
    assert of_runner(JOB + sentence, "image", "outcome", executor="kubernetes") == [
        ("app:1", "declared")
    ]


def test_a_waiting_container_is_said_again_and_again(of_runner: Rows) -> None:
    """Each repetition is the same failure."""
    waiting = '\tImagePullBackOff: "Back-off pulling image \\"app:1\\""\n'

    assert of_runner(JOB + waiting * 5, "outcome", "pull_attempts", executor="kubernetes") == [
        ("failed", 1)
    ]


def test_named_failures_go_to_their_container(of_runner: Rows) -> None:
    """From 17.5 the container stands beside the image; the next policy is named for it, too."""
    sentences = (
        JOB
        + """
WARNING: Failed to pull image "redis:7" for container "svc-0" with policy "Always": no
Attempt #2: Trying "IfNotPresent" pull policy for "redis:7" image for container "svc-0"
ERROR: Job failed: prepare environment: waiting for pod running: \
pulling image "redis:7" for container svc-0: image pull failed: x509: no
"""
    )
    columns = ("role", "image", "pull_policy", "pull_attempts", "error_kind")

    assert of_runner(sentences, *columns, executor="kubernetes") == [
        ("job", "app:1", None, 0, None),
        ("service", "redis:7", "IfNotPresent", 1, "tls"),
    ]


def test_failures_without_a_name_are_found_by_their_text(of_runner: Rows) -> None:
    """Up to 17.2 only the message names the image; where it does not, the job's is meant."""
    named = (
        'WARNING: Failed to pull image with policy "": '
        'image pull failed: Back-off pulling image "redis:7"'
    )
    unnamed = 'WARNING: Failed to pull image with policy "Always": toomanyrequests'

    assert of_runner(JOB + named, "role", "image", executor="kubernetes") == [
        ("job", "app:1"),
        ("service", "redis:7"),
    ]
    assert of_runner(JOB + unnamed, "image", "outcome", executor="kubernetes") == [
        ("app:1", "failed")
    ]


def test_events_of_one_image_are_bounded(of_runner: Rows) -> None:
    """However long a kubelet tries: what is held for the container's name stays small."""
    asked = ['Normal   Pulling   Pulling image "app:1"'] * 100

    assert of_runner(JOB + events(*asked), "pull_attempts", executor="kubernetes") == [(64,)]


def test_services_are_bounded(of_runner: Rows) -> None:
    """A service beyond the bound is still a row; only its lossy name is not remembered."""
    many = "".join(f"Starting service s{n}:1...\n" for n in range(1100))
    better = (
        "Starting service h.example.com/x:1...\nPulling docker image h.example.com:5000/x:1 ...\n"
    )
    rows = of_runner(many + better * 2, "image", "pull_attempts")

    assert rows[1100:] == [("h.example.com:5000/x:1", 2)]


def test_the_last_error_names_an_image_as_written() -> None:
    """Before 17.3 a warning on Kubernetes has only the kubelet's name; the job's end has ours."""
    extractor = Extractor()
    extractor.feed(
        b"\x1b[0KRunning with gitlab-runner 16.0.0 (a1b2c3d4)\x1b[0;m\n"
        b"\x1b[0KUsing Kubernetes executor with image alpine:3 ...\x1b[0;m\n"
        b'\x1b[0;33mWARNING: Failed to pull image with policy "Always": image pull failed:'
        b' failed to pull and unpack image "docker.io/library/postgres:15": denied\x1b[0;m\n'
        b"\x1b[31;1mERROR: Job failed (system failure): prepare environment: waiting for pod"
        b' running: pulling image "postgres:15": image pull failed: denied\x1b[0;m\n'
    )

    images = [(use.role.value, use.image) for use in extractor.finish().uses]
    assert images == [("job", "alpine:3"), ("service", "postgres:15")]
