"""What the projects' CI configurations say: stages, jobs, images, services and builds.

A recipe belongs to a project and never changes; what its images are *called* does, with time:
groups move behind a proxy, and from one day on an organisation's images are gone from Docker Hub.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from logminer.simulator.catalogue import (
    HUB,
    Image,
    hub,
    pinned,
    through_dependency_proxy,
    through_virtual_registry,
)
from logminer.simulator.dice import chance, dice

if TYPE_CHECKING:
    from logminer.simulator.organisation import Project

FALLIBLE = frozenset({"pull", "run", "classic", "buildkit", "kaniko", "podman", "podman_build"})
"""Steps whose way of failing is known."""
STAGES = ("build", "test", "package", "scan", "deploy")
DEFAULT_IMAGE = hub("alpine", "3.20")
"""What a runner takes where the job names no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something the script does with images."""

    kind: str
    """The tool: see `ScriptNarrator.run`."""
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A job of a project's CI configuration."""

    name: str
    stage: str
    image: Image | None
    """None: the job names none."""
    services: tuple[Image, ...] = ()
    steps: tuple[Step, ...] = ()
    theme: str = "plain"
    """What the script's output looks like."""
    share: float = 1.0
    """In how many of the pipelines the job is created."""
    when: str = "on_success"
    """`manual` and `delayed` jobs wait before they are queued."""
    tag: str = "linux"
    """The runner tag it asks for: `linux`, `kubernetes`, `arm64`, `metal` or `windows`."""
    platform: str | None = None
    """`image:docker:platform`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The days (proleptic ordinals) that the company's life is told in."""

    first_day: int
    last_day: int

    @property
    def removal_day(self) -> int:
        """The day from which versioned `bitnami/` tags are gone from Docker Hub."""
        return self.first_day + (self.last_day - self.first_day) * 55 // 100

    def share(self, day: int) -> float:
        """Return how much of the life has passed, 0 to 1."""
        return (day - self.first_day) / max(1, self.last_day - self.first_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """How and when a project changed where it takes images from."""

    route: str
    """`hub`, `dependency_proxy` or `virtual_registry`."""
    since: int
    """The first day of that route."""
    legacy_since: int
    """The day on which `bitnami/` became `bitnamilegacy/` in its configuration."""
    pinned_since: int | None
    """The day on which it pinned its job images by digest."""


def adoption(seed: int, project: Project, story: Story) -> Adoption:
    """Return the project's habits; groups decide on the route, projects on the rest."""
    length = story.last_day - story.first_day
    group = dice(seed, "route", project.path.rpartition("/")[0])
    rng = dice(seed, "adoption", project.id)
    return Adoption(
        route=group.choice(
            ("hub", "hub", "dependency_proxy", "dependency_proxy", "virtual_registry")
        ),
        since=story.first_day + int(length * group.uniform(-0.3, 1.0)),
        legacy_since=story.removal_day + rng.randrange(1, max(2, length // 3)),
        pinned_since=(
            story.first_day + rng.randrange(max(1, length // 2)) if chance(rng, 0.12) else None
        ),
    )


def as_of(image: Image, habits: Adoption, day: int, group: str) -> Image:
    """Return the reference the project's configuration names on that day."""
    if image.registry != HUB or image.local:
        return image
    repository = image.repository or ""
    if repository.startswith("bitnami/") and image.tag and day >= habits.legacy_since:
        name = repository.replace("bitnami/", "bitnamilegacy/")
        image = replace(image, name=name, repository=name)
    if day < habits.since:
        return image
    if habits.route == "dependency_proxy":
        return through_dependency_proxy(image, group)
    if habits.route == "virtual_registry":
        return through_virtual_registry(image)
    return image


def is_gone(image: Image, day: int, story: Story) -> bool:
    """Return whether the registry no longer has the image: the removed organisation's tags."""
    repository = image.upstream_repository or image.repository or ""
    return repository.startswith("bitnami/") and image.tag is not None and day >= story.removal_day


def job_image(template: Template, habits: Adoption, day: int, group: str) -> Image | None:
    """Return the job's image as configured on that day, pinned where the project pins."""
    if template.image is None:
        return None
    image = as_of(template.image, habits, day, group)
    pins = habits.pinned_since
    if pins is not None and day >= pins and image.registry is not None and not image.local:
        return pinned(image, pins)
    return image
