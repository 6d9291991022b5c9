r"""The grammar: every line that reveals an image, or decides what such a line means.

A rule says how to *find* a candidate line and how to *read* it.
`find` is a Hyperscan expression: it runs over every byte of every trace, so it names the rarest
literal of the line and says no more than is needed to keep prose out.
It repeats nothing, but for one that begins like no other: with two expressions that share a prefix
such as `#\d+ `, Hyperscan 5.4 was seen to lose matches.
`read` is a Python expression on the text of one line, after framing took away stream prefix,
carriage returns and the runner's colours; it runs only where `find` hit, and it is the one that
decides.

Where two rules find the same line, the first in the table that reads it wins.

The words are the runner's, the daemon's or the tool's own.
`source` names the file the wording was read from and the versions that print it; every `example` is
a test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from logminer.trace import sections


class Dress(IntEnum):
    """How the runner's logger colours a line (common/buildlogger/internal/tee.go)."""

    NONE = 0
    """Not printed through the logger: pod events, section markers, shell output."""
    PRINT = 1
    """`Println`: cleared line, no colour."""
    INFO = 2
    """`Infoln`: green."""
    WARNING = 3
    """`Warningln`: yellow."""
    ERROR = 4
    """`Errorln`, `SoftErrorln`: red."""
    TITLE = 5
    """A section's title: `Println` of cyan text."""


class Speaker(IntEnum):
    """Whose line it is, if its framing holds."""

    ANYONE = 0
    """Markers and borders: framing decides at the line."""
    RUNNER = 1
    """Only the runner says this; from a script it is an imitation."""
    SCRIPT = 2
    """A tool in the job's script says this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One wording of one line."""

    name: str
    """Stands in every row's evidence: `<who>.<what>`."""
    who: str
    """Which executor, tool or family of them says it."""
    speaker: Speaker
    dress: Dress
    """The exact dress of a runner's line; `NONE` for all others."""
    find: bytes
    read: re.Pattern[bytes]
    naming: tuple[str, ...]
    """Groups of `read` that may hold an image's name: itself, or an error text that has it."""
    source: str
    examples: tuple[bytes, ...]


def _rule(  # noqa: PLR0913 -- one argument for each column of the table
    name: str,
    find: bytes,
    read: bytes,
    *examples: bytes,
    source: str,
    dress: Dress = Dress.NONE,
    speaker: Speaker = Speaker.SCRIPT,
) -> Rule:
    """Write one line of the table."""
    pattern = re.compile(read)
    return Rule(
        name=name,
        who=name.partition(".")[0],
        speaker=speaker,
        dress=dress,
        find=find,
        read=pattern,
        naming=tuple(group for group in ("image", "error") if group in pattern.groupindex),
        source=source,
        examples=examples,
    )


def _runner(
    name: str, dress: Dress, find: bytes, read: bytes, *examples: bytes, source: str
) -> Rule:
    """Write one line of the table that only the runner may say."""
    return _rule(name, find, read, *examples, source=source, dress=dress, speaker=Speaker.RUNNER)


_ID = rb"(?P<id>(?:sha256:)?[0-9a-fx]{64})"
"""A local image ID. Before Docker 1.10 the algorithm is missing; people paste `x` for secrecy."""
_FIND_ID = rb"(?:sha256:|" + rb"[0-9a-fx]" * 8 + rb")"
"""How one begins: beside it, tools and prose speak of using docker images, too."""

# ---------------------------------------------------------------------------------------------
# Preamble, sections, borders
# ---------------------------------------------------------------------------------------------
FRAME = (
    _rule(
        "runner.header",
        rb"Running with gitlab-(?:ci-multi-)?runner ",
        rb"Running with gitlab-(?:ci-multi-)?runner (?P<version>\S.{0,78}?) \([^()]{1,64}\)",
        b"Running with gitlab-runner 17.9.2 (14c5775c)",
        b"Running with gitlab-ci-multi-runner 9.5.1 (96b34cc)",
        b"Running with gitlab-runner development version (HEAD)",
        b"Running with gitlab-runner 15.6.0~beta.186.ga889181a (a889181a)",
        source="common/build.go, commands/helpers; 'multi-runner' up to 9.5",
        dress=Dress.PRINT,
        speaker=Speaker.ANYONE,
    ),
    _rule(
        "runner.section",
        # With a time of this century and a name of the runner's: scripts print markers, too.
        rb"section_(?:start|end):" + b"[0-9]" * 10 + b":(?:" + b"|".join(sections.FOUND) + b")",
        rb"section_(?P<edge>start|end):(?P<time>\d{1,10}):(?P<name>[A-Za-z0-9_.-]{1,64})"
        rb"(?:\[[^\]]{0,128}\])?$",
        b"section_start:1624482385:prepare_executor",
        b"section_end:1768988846:step_script",
        b"section_start:1624482385:step_script[collapsed=true]",
        source="helpers/build_section.go, 10.1 and later",
        speaker=Speaker.ANYONE,
    ),
    _rule(
        "runner.executor",
        rb'Preparing the "|Preparing instance\.\.\.|Using'
        rb" (?:Shell|SSH|Custom|VirtualBox|Parallels) ",
        rb'Preparing the "(?P<title>[^"]{1,64})" executor|Preparing (?P<instance>instance)\.\.\.$'
        rb"|Using (?P<plain>Shell|SSH|Custom|VirtualBox|Parallels)\b.{0,120}?\bexecutor\b",
        b'Preparing the "docker+machine" executor',
        b"Using Shell (bash) executor...",
        b"Using Shell executor...",
        b"Using Custom executor with driver anka 1.2...",
        b"Preparing instance...",
        source="common/build.go 12.9 and later; executors/*; executors/internal/autoscaler",
        dress=Dress.PRINT,
        speaker=Speaker.ANYONE,
    ),
    _rule(
        "runner.ran",
        rb"Running on ",
        rb"Running on \S+(?: via .{1,255})?\.\.\.",
        b"Running on runner-88f66d5b-project-20-concurrent-2 via runner-02.example.com...",
        b"Running on build-01...",
        source="shells/abstract.go: the preparation script echoes it inside the running container",
        speaker=Speaker.ANYONE,
    ),
    _rule(
        "runner.script",
        rb'" stage of the job script',
        rb'Executing "(?P<stage>\w{1,64})" stage of the job script',
        b'Executing "step_script" stage of the job script',
        source="common/build.go, 13.1 and later",
        dress=Dress.TITLE,
        speaker=Speaker.ANYONE,
    ),
    _rule(
        "runner.limit",
        rb" log exceeded limit of ",
        rb"(?:Job's|Build) log exceeded limit of \d+ bytes\.$",
        b"Job's log exceeded limit of 4194304 bytes.",
        b"Build log exceeded limit of 4194304 bytes.",
        source="helpers/trace/buffer.go; 'Build' up to 1.11",
        speaker=Speaker.ANYONE,
    ),
)

# ---------------------------------------------------------------------------------------------
# Docker family: docker, docker-windows, docker+machine, docker-autoscaler, docker-ssh
# ---------------------------------------------------------------------------------------------
DOCKER = (
    _runner(
        "docker.job",
        Dress.PRINT,
        rb"Using Docker executor with image ",
        rb"Using Docker executor with image (?P<image>\S+) \.\.\.$",
        b"Using Docker executor with image registry.example.com:5000/g/app:1.2 ...",
        source="executors/docker/docker.go, 0.1 and later",
    ),
    _runner(
        "docker.service",
        Dress.PRINT,
        rb"Starting service ",
        rb"Starting service (?P<image>\S+?) ?\.\.\.$",
        b"Starting service postgres:16 ...",
        b"Starting service postgres:latest...",
        source="executors/docker/services.go; a space before the dots up to 17.0",
    ),
    _runner(
        "docker.services_up",
        Dress.PRINT,
        rb"Waiting for services to be up and running",
        rb"Waiting for services to be up and running(?: \(timeout \d+ seconds\))?\.\.\.$",
        b"Waiting for services to be up and running...",
        b"Waiting for services to be up and running (timeout 30 seconds)...",
        source="executors/docker/services.go; the timeout is said from 15.0",
    ),
    _runner(
        "runner.pull_policy",
        Dress.PRINT,
        rb"Using effective pull policy of \[",
        rb"Using effective pull policy of \[(?P<policies>[^\]]*)\] for container (?P<image>\S+)$",
        b"Using effective pull policy of [always if-not-present] for container alpine:3.20",
        b"Using effective pull policy of [] for container svc-0",
        source="executors/docker, executors/kubernetes, 18.0 and later; on Kubernetes the name"
        " is a container's",
    ),
    _runner(
        "docker.local",
        Dress.PRINT,
        rb"Using locally found image version due to ",
        rb'Using locally found image version due to "?(?P<policy>[\w-]+)"? pull policy$',
        b"Using locally found image version due to if-not-present pull policy",
        b'Using locally found image version due to "if-not-present" pull policy',
        source="executors/docker/internal/pull/manager.go; quoted from 13.8",
    ),
    _runner(
        "docker.credentials",
        Dress.PRINT,
        rb"Authenticating with credentials from ",
        rb"Authenticating with credentials from (?P<source>\S.{0,254})$",
        b"Authenticating with credentials from $DOCKER_AUTH_CONFIG",
        b"Authenticating with credentials from job payload (GitLab Registry)",
        source="executors/docker/internal/pull/manager.go, 12.1 and later",
    ),
    _runner(
        "docker.pulling",
        Dress.PRINT,
        rb"Pulling docker image ",
        rb"Pulling docker image (?P<image>\S+)(?: for platform (?P<platform>\S+))? \.\.\.$",
        b"Pulling docker image alpine:3.20 ...",
        b"Pulling docker image alpine:3.20 for platform linux/arm64 ...",
        source="executors/docker/internal/pull/manager.go, 0.1 and later; the platform from 16.6",
    ),
    _runner(
        "docker.using_for",
        Dress.PRINT,
        rb"Using docker image " + _FIND_ID,
        rb"Using docker image "
        + _ID
        + rb" for (?P<image>\S+)(?: with digest (?P<digest>\S+))? \.\.\.$",
        b"Using docker image sha256:" + b"ab" * 32 + b" for alpine:3.20 ...",
        b"Using docker image sha256:"
        + b"ab" * 32
        + b" for alpine with digest alpine@sha256:"
        + b"cd" * 32
        + b" ...",
        source="executors/docker/docker.go, 10.5 and later; the digest from 13.4",
    ),
    _runner(
        "docker.using_id",
        Dress.PRINT,
        rb" ID=" + _FIND_ID,
        rb"Using docker image (?P<image>\S+) ID=" + _ID + rb" for (?P<target>\S.{0,511}?)\.\.\.$",
        b"Using docker image redis:latest ID=sha256:" + b"ab" * 32 + b" for redis service...",
        b"Using docker image ruby:2.4 ID=sha256:" + b"ab" * 32 + b" for build container...",
        source="executors/docker/executor_docker.go, 9.0 to 10.4",
    ),
    _runner(
        "docker.using_helper",
        Dress.PRINT,
        rb"Using docker image " + _FIND_ID,
        rb"Using docker image " + _ID + rb" for predefined container\.\.\.$",
        b"Using docker image sha256:" + b"ab" * 32 + b" for predefined container...",
        source="executors/docker/executor_docker.go, 9.1 to 10.4",
    ),
    _runner(
        "docker.helper",
        Dress.PRINT,
        rb"Using helper image: ",
        rb"Using helper image:  ?(?P<image>\S+)(?:  ?\(overridden, default would be  ?\S+ ?\))? *$",
        b"Using helper image:  registry.example.com/helper:v17",
        b"Using helper image:  registry.example.com/helper:v17  (overridden, default would be "
        b" other/helper:v17 )",
        source="executors/docker/docker.go, 15.11 and later; the default is not used",
    ),
    _runner(
        "docker.local_instead",
        Dress.WARNING,
        rb"WARNING: Cannot pull the latest version of image ",
        rb"WARNING: Cannot pull the latest version of image (?P<image>\S+) ?: (?P<error>.*)$",
        b"WARNING: Cannot pull the latest version of image registry.tld/my/image:latest :"
        b" Error: image not found",
        source="executors/docker/executor_docker.go, 0.6 to 1.8: the local copy is used",
    ),
    _runner(
        "runner.not_allowed",
        Dress.ERROR,
        rb" is not present on list of allowed ",
        rb'ERROR: The "?(?P<image>[^"\s]+)"?(?: image)? is not present on list of allowed'
        rb" (?P<list>images|services)\b",
        b"ERROR: The evil:1 is not present on list of allowed images",
        b'ERROR: The "evil:1" image is not present on list of allowed services:',
        source="common/allowed_images.go; quoted from 13.10; on Kubernetes from 14.2",
    ),
)

# ---------------------------------------------------------------------------------------------
# Failed pulls, as docker and Kubernetes executors report them
# ---------------------------------------------------------------------------------------------
FAILURES = (
    _runner(
        "runner.pull_failed",
        Dress.WARNING,
        rb"WARNING: Failed to pull image ",
        rb'WARNING: Failed to pull image (?:"(?P<image>[^"]+)" )?(?:for container'
        rb' "(?P<container>[^"]*)" )?'
        rb'with policy "(?P<policy>[^"]*)": (?P<error>.*)$',
        b'WARNING: Failed to pull image with policy "always": Error response from daemon: no'
        b" (manager.go:237:0s)",
        b'WARNING: Failed to pull image "alpine" with policy "": image pull failed: no',
        b'WARNING: Failed to pull image "alpine" for container "build" with policy "Always": no',
        source="docker 13.8, Kubernetes 13.11 and later; named on Kubernetes from 17.3, its"
        " container from 17.5",
    ),
    _runner(
        "runner.pull_retried",
        Dress.WARNING,
        rb'WARNING: Failed to pull image "',
        rb'WARNING: Failed to pull image "(?P<image>[^"]+)" \(attempt #\d+\), retrying:'
        rb" (?P<error>.*)$",
        b'WARNING: Failed to pull image "alpine:3" (attempt #1), retrying: Error response from'
        b" daemon: EOF",
        source="executors/docker/internal/pull/manager.go, 19.2 and later",
    ),
    _runner(
        "runner.next_policy",
        Dress.INFO,
        rb': Trying "',
        rb'Attempt #\d+: Trying "(?P<policy>[^"]*)" pull policy'
        rb'(?: for "(?P<image>[^"]+)" image(?: for container "(?P<container>[^"]*)")?)?$',
        b'Attempt #2: Trying "if-not-present" pull policy',
        b'Attempt #2: Trying "Always" pull policy for "alpine" image for container "build"',
        source="docker 13.8, Kubernetes 13.11 and later",
    ),
    _runner(
        "runner.failed",
        Dress.ERROR,
        rb"ERROR: (?:Job|Build|Preparation) failed",
        rb"ERROR: (?P<what>(?:Job|Build|Preparation) failed)(?: \(system failure\))?:"
        rb" (?P<error>.*)$",
        b'ERROR: Job failed: failed to pull image "a:1" with specified policies [always]: no'
        b" (manager.go:1:0s)",
        b"ERROR: Preparation failed: Error response from daemon: pull access denied for x, y"
        b" (docker.go:1:0s)",
        b"ERROR: Build failed: Error: image local_image:latest not found",
        source="common/build.go, 1.5 and later; 'Build' up to 1.10",
    ),
)

# ---------------------------------------------------------------------------------------------
# Kubernetes
# ---------------------------------------------------------------------------------------------
KUBERNETES = (
    _runner(
        "kubernetes.job",
        Dress.PRINT,
        rb"Using Kubernetes executor with image ",
        rb"Using Kubernetes executor with image (?P<image>\S+) \.\.\.$",
        b"Using Kubernetes executor with image $CI_REGISTRY_IMAGE/app:1 ...",
        source="executors/kubernetes/kubernetes.go, 1.6 and later; variables unexpanded up to"
        " 13.10",
    ),
    _runner(
        "kubernetes.event",
        Dress.NONE,
        rb"(?:Normal|Warning)   (?:Pull|Failed|BackOff|Created|InspectFailed|ErrImage)",
        rb"(?:Normal|Warning)\s+(?:Pulling|Pulled|Failed|BackOff|Created|InspectFailed|ErrImageNeverPull)\s"
        rb"+"
        rb"(?P<message>\S.*)$",
        b'Normal   Pulling   Pulling image "quay.io/podman/stable"',
        b"Normal   Created   Created container init-permissions",
        source="executors/kubernetes/internal/watchers/pod.go, 16.5 and later with"
        " FF_PRINT_POD_EVENTS",
    ),
    _runner(
        "kubernetes.warning",
        Dress.WARNING,
        rb"WARNING: Event retrieved from the cluster: ",
        rb"WARNING: Event retrieved from the cluster: (?P<message>.*)$",
        b'WARNING: Event retrieved from the cluster: Failed to pull image "x:1": rpc error:'
        b" code = NotFound",
        source="executors/kubernetes/kubernetes.go, 16.2 and later",
    ),
    _runner(
        "kubernetes.waiting",
        Dress.NONE,
        rb'(?:ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName): "',
        rb"\s*(?:ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName):"
        rb' "(?P<quoted>(?:[^"\\]|\\.)*)"$',
        rb'ImagePullBackOff: "Back-off pulling image \"alpine:nope\""',
        source="executors/kubernetes/util.go, 13.5 and later: reason and Go-quoted message",
    ),
)

# ---------------------------------------------------------------------------------------------
# The job's script: docker and its relatives
# ---------------------------------------------------------------------------------------------
SCRIPT = (
    _rule(
        "script.echo",
        rb"(?:docker|podman|nerdctl) (?:image |container )?(?:pull|run|create) ",
        rb"^\$ (?:sudo )?(?:docker|podman|nerdctl) (?:image |container )?(?:pull|run|create)"
        rb" (?P<arguments>.*)$",
        b"$ docker pull alpine:3.20",
        source="shells/bash.go Noticef: the shell's echo of a command, its variables not expanded",
    ),
    _rule(
        "docker.absent",
        rb"Unable to find image '",
        rb"Unable to find image '(?P<image>[^'\s]+)' locally$",
        b"Unable to find image 'alpine:latest' locally",
        source="docker/cli cli/command/container/create.go: docker run and create pull it now",
    ),
    _rule(
        "docker.pull_from",
        rb": Pulling from ",
        rb"^(?P<label>(?:.*\s)?)(?P<name>\S+): Pulling from (?P<path>[a-z0-9]\S*)$",
        b"latest: Pulling from library/alpine",
        b"[docker:18-git] 18-git: Pulling from library/docker",
        source="moby daemon/internal/distribution/pull_v2.go: no registry in it",
    ),
    _rule(
        "docker.pull_digest",
        rb"Digest: sha256:",
        rb"^(?P<label>(?:.*\s)?)Digest: (?P<digest>sha256:[0-9a-f]{64})$",
        b"Digest: sha256:" + b"ab" * 32,
        source="moby daemon/internal/distribution/pull_v2.go",
    ),
    _rule(
        "docker.pull_status",
        rb"Status: (?:Downloaded newer image|Image is up to date) for ",
        rb"^(?P<label>(?:.*\s)?)Status: (?:(?P<newer>Downloaded newer image)|Image is up to date)"
        rb" for (?P<image>\S+)$",
        b"Status: Downloaded newer image for alpine:latest",
        b"Status: Image is up to date for registry.example.com/g/i:1",
        source="moby daemon/internal/distribution/pull.go: the familiar form",
    ),
    _rule(
        "compose.pulling",
        rb"Pulling [A-Za-z0-9._-]+ \(",
        rb"^Pulling \S+ \((?P<image>[^()\s]+)\)\.\.\.$",
        b"Pulling db (postgres:16)...",
        source="compose v1 compose/service.py",
    ),
    _rule(
        "compose.image",
        rb" Image ",
        rb"^\s*Image (?P<image>\S+) (?P<what>Pulling|Pulled)\s*$",
        b" Image postgres:16 Pulling ",
        b" Image postgres:16 Pulled ",
        source="compose v5",
    ),
    _rule(
        "build.from",
        rb" : (?i:FROM) | : (?i:COPY) --",
        rb"^Step (?P<step>\d{1,6})(?:/\d+)? : (?i:FROM (?P<arguments>\S.*)"
        rb"|COPY (?:--(?!from=)\S+ +)*--from=(?P<copied>\S+) .*)$",
        b"Step 1/9 : FROM python:3.11 as base",
        b"Step 1 : FROM ruby",
        b"Step 4/9 : COPY --from=busybox:1 /bin/sh /sh",
        b"Step 5/9 : COPY --chown=1000:1000 --from=busybox:1 /bin/sh /sh",
        source="moby daemon/builder/dockerfile/builder.go, classic builder",
    ),
    _rule(
        "build.layer",
        rb" ---> [0-9a-f]",
        rb"^ ?---> [0-9a-f]{12}$",
        b" ---> eeb6ee3f44bd",
        source="moby daemon/builder/dockerfile/builder.go: the step before it succeeded",
    ),
    _rule(
        "buildkit.metadata",
        rb"\] load metadata for ",
        rb"^#(?P<vertex>\d{1,6}) \[[^\]]*\] load metadata for (?P<image>\S+)$",
        b"#2 [internal] load metadata for docker.io/library/node:22-slim",
        b"#2 [linux/arm64 internal] load metadata for docker.io/library/node:22-slim",
        source="buildkit frontend/dockerfile/dockerfile2llb/convert.go",
    ),
    _rule(
        "buildkit.frontend",
        rb" resolve image config for | docker-image://",
        rb"^#(?P<vertex>\d{1,6}) (?:resolve image config for )?(?:docker-image://)?(?P<image>\S+)$",
        b"#3 resolve image config for docker.io/docker/dockerfile:1",
        b"#4 docker-image://docker.io/docker/dockerfile:1@sha256:" + b"ab" * 32,
        source="buildkit frontend/dockerfile/builder/build.go: the # syntax line",
    ),
    _rule(
        "buildkit.from",
        rb'[0-9\]"] FROM ',
        rb'^#(?P<vertex>\d{1,6}) +(?:name: ")?(?:\[[^\]]*\] )?FROM (?P<image>[^\s"]+)"?$',
        b"#5 [stage-1 1/4] FROM docker.io/library/node:22-slim@sha256:" + b"ab" * 32,
        b"#8 FROM docker.io/library/busybox:latest@sha256:" + b"ab" * 32,
        b'#5        name: "[1/3] FROM docker.io/library/node:22"',
        source="buildkit util/progress/progressui/printer.go; name: in docker 18.09 to 19.03",
    ),
    _rule(
        "buildkit.vertex",
        rb"[0-9] (?:CACHED|ERROR: |extracting sha256:|sha256:[0-9a-f])",
        rb"^#(?P<vertex>\d{1,6}) (?:(?P<cached>CACHED)$|ERROR: (?P<error>.*)$"
        rb"|(?P<layers>extracting sha256:|sha256:[0-9a-f]{64} \S+ / \S+ .*done))",
        b"#5 CACHED",
        b"#2 ERROR: pull access denied, repository does not exist",
        b"#5 sha256:" + b"ab" * 32 + b" 29.12MB / 29.12MB 1.3s done",
        source="buildkit util/progress/progressui/printer.go",
    ),
    _rule(
        "buildkit.failed",
        rb"failed to resolve source metadata for ",
        rb"failed to resolve source metadata for (?P<image>\S+?): (?P<error>.*)$",
        b"ERROR: failed to solve: nope:1: failed to resolve source metadata for"
        b" docker.io/library/nope:1: pull access denied, repository does not exist",
        source="buildkit client/llb/imagemetaresolver, buildctl and buildx: all that a quiet build"
        " says of it",
    ),
    _rule(
        "buildkit.step",
        rb"#[0-9] \[|#[0-9][0-9] \[|#[0-9][0-9][0-9] \[|#0 building with "
        rb"|[0-9] importing cache manifest |[0-9] exporting ",
        rb"^#(?P<vertex>\d{1,6}) (?:\[|building with |importing cache manifest |exporting ).*$",
        b"#1 [internal] load build definition from Dockerfile",
        b'#0 building with "default" instance using docker driver',
        b"#5 importing cache manifest from registry.example.com/g/i:cache",
        source="buildkit util/progress/progressui/printer.go: heads of steps that are about no"
        " image",
    ),
    _rule(
        "kaniko.image",
        rb"Retrieving image |Downloading base image ",
        rb'(?:INFO\[\d+\] |"msg":")(?:Retrieving image (?:manifest )?|Downloading base image )'
        rb'(?P<image>[^\s"]+)(?: from (?:mapped )?registry (?P<registry>[^\s"]+))?',
        b"INFO[0000] Retrieving image manifest centos:7",
        b"INFO[0000] Retrieving image centos:7 from registry index.docker.io",
        source="kaniko pkg/image/remote/remote.go",
    ),
    _rule(
        "kaniko.stage",
        rb"Resolved base name |Building stage '",
        rb"(?:INFO\[\d+\] |\"msg\":\")(?:Resolved base name \S+ to (?P<stage>[^\s\"]+)"
        rb"|Building stage '(?P<image>[^']+)' \[idx: '\d+', base-idx: '(?P<base>-?\d+)'\])",
        b"INFO[0001] Resolved base name golang:1 to build",
        b"INFO[0001] Building stage 'centos:7' [idx: '0', base-idx: '-1']",
        source="kaniko pkg/dockerfile, pkg/executor/build.go",
    ),
    _rule(
        "kaniko.progress",
        rb"Returning cached image manifest|Built cross stage deps: |Executing 0 build"
        rb" triggers|Unpacking rootfs as ",
        rb'(?:INFO\[\d+\] |"msg":")(?:Returning cached|Built cross stage|Executing 0|Unpacking'
        rb" rootfs)",
        b"INFO[0002] Returning cached image manifest",
        b"INFO[0003] Unpacking rootfs as cmd RUN make requires it.",
        source="kaniko pkg/image/remote/remote.go, pkg/executor/build.go: what was asked for"
        " has arrived",
    ),
    _rule(
        "kaniko.error",
        rb"error building image: ",
        rb"error building image: (?P<error>.*)$",
        b"error building image: GET https://r.example.com/v2/a/manifests/1: MANIFEST_UNKNOWN:"
        b" manifest unknown",
        source="kaniko cmd/executor/cmd/root.go",
    ),
    _rule(
        "buildah.step",
        rb"STEP [0-9]",
        rb"^(?:(?P<first>(?:\[1/\d+\] )?STEP 1/)\d+|(?:\[\d+/\d+\] )?STEP \d+(?:/\d+)?): "
        rb"(?:(?i:FROM) (?P<arguments>\S.*)|\S.*)$",
        b"STEP 1/6: FROM golang:1.23 AS builder",
        b"STEP 1: FROM ruby",
        b"[2/2] STEP 1/3: FROM alpine",
        b"STEP 2/6: COPY . .",
        source="buildah imagebuildah/executor.go; the number of steps from 1.22",
    ),
    _rule(
        "podman.trying",
        rb"Trying to pull ",
        rb"^Trying to pull (?P<image>\S+?)\.\.\.$",
        b"Trying to pull docker.io/library/golang:1.23.1...",
        source="containers common/libimage/pull.go",
    ),
    _rule(
        "podman.copying",
        rb"Getting image source signatures",
        rb"^Getting image source signatures$",
        b"Getting image source signatures",
        source="containers image/copy: the last candidate answered",
    ),
    _rule(
        "podman.error",
        rb"initializing source docker://",
        rb"initializing source docker://(?P<image>[^\s]+?): (?P<error>.*)$",
        b"Error: initializing source docker://x:1: reading manifest 1 in docker.io/library/x:"
        b" denied",
        source="containers common/libimage/pull.go",
    ),
    _rule(
        "crane.copying",
        rb" Copying from ",
        rb"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d Copying from (?P<image>\S+) to (?P<target>\S+)$",
        b"2024/01/02 15:04:05 Copying from alpine:3 to registry.example.com/alpine:3",
        source="go-containerregistry pkg/crane/copy.go",
    ),
    _rule(
        "skopeo.copying",
        rb'msg="Copying image ref ',
        rb'msg="Copying image ref \d+/\d+" from="docker://(?P<image>[^"]+)"',
        b'time="2024-01-02T15:04:05Z" level=info msg="Copying image ref 1/3"'
        b' from="docker://alpine:3" to="docker://x/a:3"',
        source="skopeo cmd/skopeo/sync.go",
    ),
    _rule(
        "nerdctl.resolved",
        rb" resolved  ",
        rb"^(?P<image>\S+): +resolved +\|\++\|",
        b"docker.io/library/alpine:3:      resolved       |++++++++++++++++++++++++++++++++++++++|",
        source="nerdctl pkg/imgutil/jobs/jobs.go",
    ),
    # The last word: a tool above may frame the same message, and knows more of it.
    _rule(
        "docker.error",
        rb"Error response from daemon: |pull access denied for |toomanyrequests: "
        rb"|not found: manifest unknown|no matching manifest for "
        rb'|Get "http|Head "http|Get http|Head http',
        # A request's own words only where they begin the line: helm's charts fail with them, too.
        rb"(?P<error>(?:Error response from daemon: |pull access denied for |toomanyrequests: "
        rb'|manifest for |no matching manifest for |^(?:Get|Head) "?https?://[^\s"]+/manifests/).*)$',
        b"Error response from daemon: manifest for alpine:nope not found: manifest unknown",
        b"ERROR: pull access denied for nope, repository does not exist or may require 'docker"
        b" login'",
        b'Get "https://registry.example.com/v2/team/app/manifests/1": unauthorized: no',
        source="moby daemon/internal/distribution/errors.go, docker/cli, compose",
    ),
)

RULES: tuple[Rule, ...] = (*FRAME, *DOCKER, *FAILURES, *KUBERNETES, *SCRIPT)
"""In the order in which they are tried on a line."""
