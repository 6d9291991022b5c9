"""What will happen in one job, drawn before a line of its trace is written.

A plan is a function of the seed and the job: asking for a trace twice gives the same bytes, and
asking for the truth alone gives the truth of those bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from logminer.simulator.catalogue import (
    ECR,
    HUB,
    MIRROR,
    OWN_REGISTRY,
    PROXY,
    Image,
    hosted,
    own,
    unresolved,
)
from logminer.simulator.dice import chance, dice
from logminer.simulator.failures import likely_kind
from logminer.simulator.fleet import revision
from logminer.simulator.recipes import DEFAULT_IMAGE, Adoption, Story, as_of, is_gone, job_image

if TYPE_CHECKING:
    import random

    from logminer.simulator.fleet import Runner
    from logminer.simulator.life import Job
    from logminer.simulator.writer import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """An image a container of the job needs, and what happens when it is looked up."""

    image: Image
    policies: tuple[str, ...]
    cached: bool
    """Whether the machine has it already."""
    failure: str | None = None
    """Kind of error with which the registry answers; None: it gives the image."""
    hiccup: str | None = None
    """Kind of an error that goes away when the pull is tried again (19.2 and later)."""
    credentials: str | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything the narrators need to know of a job."""

    job: Job
    rng: random.Random
    version: Version
    day: int
    main: Need
    names_no_image: bool
    """The runner's default image is taken."""
    services: tuple[Need, ...]
    helper: Need | None
    """None: bundled with the runner, or a Kubernetes pod's without events."""
    default_helper: str | None
    """What the helper would be without the runner's settings, where those override it."""
    habits: Adoption
    preparation_retries: int
    """How often the preparation breaks down before any image is looked up."""
    timestamps: bool
    loses_container: bool
    """Whether the job's container and image vanish as the script begins, and come again."""


def plan(seed: int, job: Job, habits: Adoption, story: Story) -> Plan:
    """Return the plan of a job that started."""
    rng = dice(seed, "job", job.id)
    version = job.version
    planner = _Planner(job, rng, habits, story)
    main = planner.main()
    timestamps = job.runner.timestamps(version)
    return Plan(
        job=job,
        rng=rng,
        version=version,
        day=job.day,
        main=main,
        names_no_image=job.template.image is None,
        services=planner.services(),
        helper=planner.helper(),
        default_helper=helper_image(version, job.runner).written
        if job.runner.helper == "overridden"
        else None,
        habits=habits,
        preparation_retries=1 if job.mishap == "none" and chance(rng, 0.02) else 0,
        timestamps=timestamps,
        # only with time stamps does the place of the lines say that they are the runner's
        loses_container=timestamps
        and main.failure is None
        and not main.image.local
        and chance(rng, 0.01),
    )


def helper_image(version: Version, runner: Runner) -> Image:
    """Return the runner's own image, as its releases name it."""
    machine = "arm64" if runner.architecture == "arm64" else "x86_64"
    if version < (14, 0):
        return _once_on_hub(f"{machine}-{revision(version)}")
    number = ".".join(map(str, version))
    return hosted(
        "registry.gitlab.com",
        "gitlab-org/gitlab-runner/gitlab-runner-helper",
        f"{machine}-v{number}{'-servercore21H2' if runner.is_windows else ''}",
    )


def _once_on_hub(tag: str) -> Image:
    """Return the helper as it was once published on Docker Hub."""
    return Image(
        name="gitlab/gitlab-runner-helper",
        registry=HUB,
        repository="gitlab/gitlab-runner-helper",
        tag=tag,
    )


class _Planner:
    """Draws the needs of one job; the order of its calls is part of the plan."""

    def __init__(self, job: Job, rng: random.Random, habits: Adoption, story: Story) -> None:
        self._job = job
        self._rng = rng
        self._habits = habits
        self._story = story
        self._group = job.project.top_group

    def main(self) -> Need:
        job = self._job
        image = job_image(job.template, self._habits, job.day, self._group) or DEFAULT_IMAGE
        if image.registry is None:
            image = self._expanded(image)
        failure = job.failure_kind if job.mishap == "job_pull" else None
        return self._need(image, failure)

    def _expanded(self, image: Image) -> Image:
        """Return what becomes of an image named by a variable.

        The old Kubernetes executor prints it as it stands; a masked variable hides the registry.
        """
        job = self._job
        if job.runner.is_kubernetes and not job.runner.pod_events and job.mishap != "job_pull":
            if job.version < (13, 11):
                return image
            if job.project.id % 3 == 0:
                return unresolved("[MASKED]/deployer:1")
        return own(f"{job.project.path}/deployer", "1")

    def services(self) -> tuple[Need, ...]:
        job = self._job
        names = [
            as_of(image, self._habits, job.day, self._group) for image in job.template.services
        ]
        if job.mishap != "service_pull":
            return tuple(self._need(image, None) for image in names)
        gone = [n for n, image in enumerate(names) if is_gone(image, job.day, self._story)]
        bad = gone[0] if gone else len(names) - 1
        return tuple(
            self._need(image, job.failure_kind if n == bad else None)
            for n, image in enumerate(names)
        )

    def helper(self) -> Need | None:
        job = self._job
        runner = job.runner
        failure = job.failure_kind if job.mishap == "helper_pull" else None
        if runner.helper == "overridden":
            image = hosted(
                MIRROR,
                "base/gitlab-runner-helper/gitlab-runner-helper",
                f"x86_64-v{'.'.join(map(str, job.version))}",
            )
            return self._need(image, failure)
        if runner.helper == "named" or runner.is_kubernetes:
            return self._need(helper_image(job.version, runner), failure)
        return None

    def _need(self, image: Image, failure: str | None) -> Need:
        """Draw how a lookup goes: the machine's store, a limit that is survived, a hiccup."""
        rng = self._rng
        runner, version = self._job.runner, self._job.version
        policies = ("never",) if image.local else runner.policies
        if not runner.is_kubernetes and version < (13, 8):
            policies = policies[:1]  # several policies came with 13.8
        cached = image.local or chance(rng, 0.6)
        if failure is not None:
            cached = False
        elif image.registry is not None and len(policies) > 1 and cached and chance(rng, 0.25):
            gone = is_gone(image, self._job.day, self._story)
            failure = "not_found" if gone else likely_kind(rng, image)
        hiccup = None
        if failure is None and version >= (19, 2) and chance(rng, 0.08):
            hiccup = rng.choice(("network", "server"))
        return Need(
            image=image,
            policies=policies,
            cached=cached,
            failure=failure,
            hiccup=hiccup,
            credentials=self._credentials(image),
            platform=self._job.template.platform if version >= (16, 6) else None,
        )

    def _credentials(self, image: Image) -> str | None:
        runner = self._job.runner
        if image.registry in {OWN_REGISTRY, PROXY}:
            return "job payload (GitLab Registry)"
        if image.registry in {ECR, MIRROR}:
            return "$DOCKER_AUTH_CONFIG"
        if image.registry == HUB and runner.hub_login:
            return "/root/.docker/config.json"
        return None
