"""The runners: what executes the jobs, in which version at which time.

Versions move upward over the company's life, each runner at its own pace and from its own past:
the oldest machines still print as gitlab-runner 13 did, the newest follow every release.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from logminer.simulator.dice import hex64

if TYPE_CHECKING:
    from logminer.simulator.writer import Version

TIMESTAMPS_KNOWN: Version = (16, 11, 0)
TIMESTAMPS_DEFAULT: Version = (18, 7, 0)
POD_EVENTS_KNOWN: Version = (16, 5, 0)
SCRIPT_SECTIONS_KNOWN: Version = (16, 7, 0)


_BARE = frozenset({"shell", "ssh", "instance", "custom", "virtualbox"})
"""The executors that know no containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A registered runner; its releases are (share of the company's life, version)."""

    id: int
    description: str
    executor: str
    releases: tuple[tuple[float, Version], ...]
    weight: int = 4
    policies: tuple[str, ...] = ("always",)
    helper: str = "bundled"
    """`bundled`, `named` (pulled from a registry) or `overridden` (by the runner's settings)."""
    pod_events: bool = False
    early_timestamps: bool = False
    """FF_TIMESTAMPS switched on before it became the default."""
    script_sections: bool = False
    """FF_SCRIPT_SECTIONS: every command of the script is a section of its own (16.7)."""
    containerd: bool = False
    """Docker with the containerd image store, where an image's ID is its digest."""
    hub_login: bool = False
    architecture: str = "amd64"

    def version_at(self, share: float) -> Version:
        """Return the version in use at that share (0 to 1) of the company's life."""
        version = self.releases[0][1]
        for since, release in self.releases:
            if share >= since:
                version = release
        return version

    @property
    def token(self) -> str:
        """The first characters of the runner's token, as its logs show them."""
        return hex64("runner token", self.id)[:9]

    @property
    def system_id(self) -> str:
        """The id of the machine."""
        kind = "r" if self.executor == "kubernetes" else "s"
        return f"{kind}_{hex64('system', self.id)[:12]}"

    @property
    def is_kubernetes(self) -> bool:
        """Whether jobs run as pods."""
        return self.executor == "kubernetes"

    @property
    def is_bare(self) -> bool:
        """Whether jobs run on a machine itself, without an image."""
        return self.executor in _BARE

    @property
    def is_windows(self) -> bool:
        """Whether its machines run Windows."""
        return self.executor == "docker-windows"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the jobs it takes."""
        if self.is_bare:
            return ("metal", self.executor)
        if self.is_windows:
            return ("windows", "docker")
        if self.architecture == "arm64":
            return ("arm64", "docker")
        return ("kubernetes", "linux") if self.is_kubernetes else ("docker", "linux")

    def feature_flags(self, version: Version) -> list[str]:
        """Return the flags its logs list, those that differ from their default."""
        flags = []
        if self.pod_events and version >= POD_EVENTS_KNOWN:
            flags.append("FF_PRINT_POD_EVENTS")
        if self.script_sections and version >= SCRIPT_SECTIONS_KNOWN:
            flags.append("FF_SCRIPT_SECTIONS")
        if self.early_timestamps and TIMESTAMPS_KNOWN <= version < TIMESTAMPS_DEFAULT:
            flags.append("FF_TIMESTAMPS")
        return flags

    def timestamps(self, version: Version) -> bool:
        """Return whether lines carry a time stamp and a stream."""
        return version >= TIMESTAMPS_DEFAULT or (
            self.early_timestamps and version >= TIMESTAMPS_KNOWN
        )


def revision(version: Version) -> str:
    """Return the commit a release of the runner was built from."""
    return hex64("runner", *version)[:8]


def _releases(*versions: str) -> tuple[tuple[float, Version], ...]:
    """Spread versions evenly over the company's life."""
    step = 1 / len(versions)
    parsed = [_version(text) for text in versions]
    if any(later <= earlier for earlier, later in pairwise(parsed)):
        raise ValueError(f"a runner is never downgraded: {versions}")
    return tuple((index * step, version) for index, version in enumerate(parsed))


def _version(text: str) -> Version:
    major, minor, patch = text.split(".")
    return int(major), int(minor), int(patch)


ALWAYS_ELSE_LOCAL = ("always", "if-not-present")
LOCAL_FIRST = ("if-not-present",)

FLEET: tuple[Runner, ...] = (
    Runner(
        id=3,
        description="build-01.legacy",
        executor="docker",
        weight=3,
        releases=_releases("13.2.4", "13.7.0", "13.9.0", "13.12.0"),
        policies=LOCAL_FIRST,
    ),
    Runner(
        id=4,
        description="build-02.legacy",
        executor="docker",
        weight=3,
        releases=_releases("13.0.1", "13.6.0", "13.10.0", "14.1.0"),
        helper="named",
    ),
    Runner(
        id=7,
        description="build-07",
        executor="docker",
        weight=4,
        releases=_releases("14.2.0", "14.10.1", "15.0.0", "15.11.1"),
        policies=ALWAYS_ELSE_LOCAL,
        helper="named",
    ),
    Runner(
        id=9,
        description="elastic-linux-small",
        executor="docker+machine",
        weight=6,
        releases=_releases("15.6.1", "15.11.0", "16.5.0", "16.8.0"),
        hub_login=True,
    ),
    Runner(
        id=12,
        description="build-12",
        executor="docker",
        weight=5,
        releases=_releases("16.1.0", "16.6.1", "17.0.0", "17.2.1"),
        policies=ALWAYS_ELSE_LOCAL,
    ),
    Runner(
        id=13,
        description="build-13",
        executor="docker",
        weight=4,
        early_timestamps=True,
        releases=_releases("16.11.0", "17.4.0", "18.3.0", "18.5.0"),
    ),
    Runner(
        id=17,
        description="fleet-medium",
        executor="docker-autoscaler",
        weight=9,
        releases=_releases("17.0.0", "17.9.2", "18.4.0", "18.11.1"),
        policies=ALWAYS_ELSE_LOCAL,
        script_sections=True,
    ),
    Runner(
        id=21,
        description="shared-docker-1",
        executor="docker",
        weight=11,
        hub_login=True,
        releases=_releases("17.9.2", "18.2.0", "18.7.1", "18.11.3", "19.1.0", "19.3.0"),
    ),
    Runner(
        id=22,
        description="shared-docker-2",
        executor="docker",
        weight=11,
        releases=_releases("18.0.1", "18.7.1", "19.0.0", "19.2.0"),
        policies=ALWAYS_ELSE_LOCAL,
    ),
    Runner(
        id=23,
        description="shared-docker-3",
        executor="docker",
        weight=8,
        containerd=True,
        releases=_releases("18.4.0", "18.11.0", "19.0.1", "19.2.1"),
        policies=LOCAL_FIRST,
        script_sections=True,
    ),
    Runner(
        id=26,
        description="hardened",
        executor="docker",
        weight=5,
        helper="overridden",
        releases=_releases("15.11.1", "17.9.2", "18.7.0", "19.1.1"),
    ),
    Runner(
        id=27,
        description="arm-builders",
        executor="docker",
        weight=4,
        architecture="arm64",
        releases=_releases("17.5.0", "18.1.0", "18.9.0", "19.2.0"),
        helper="named",
    ),
    Runner(
        id=30,
        description="cluster-legacy",
        executor="kubernetes",
        weight=3,
        releases=_releases("13.2.2", "13.9.0", "13.12.0", "14.2.0"),
        policies=("IfNotPresent",),
    ),
    Runner(
        id=31,
        description="cluster-blue",
        executor="kubernetes",
        weight=6,
        releases=_releases("15.10.0", "16.2.1", "17.3.1", "17.9.0"),
        policies=("Always", "IfNotPresent"),
    ),
    Runner(
        id=32,
        description="cluster-green",
        executor="kubernetes",
        weight=7,
        pod_events=True,
        releases=_releases("16.5.0", "17.4.0", "18.4.0", "18.9.0"),
        policies=("Always",),
    ),
    Runner(
        id=33,
        description="cluster-red",
        executor="kubernetes",
        weight=6,
        releases=_releases("17.11.0", "18.6.3", "18.11.0", "19.2.0"),
        policies=("Always", "IfNotPresent"),
    ),
    Runner(
        id=34,
        description="cluster-gold",
        executor="kubernetes",
        weight=6,
        pod_events=True,
        releases=_releases("18.7.0", "19.1.0", "19.3.0"),
        policies=(),
        helper="overridden",
    ),
    Runner(
        id=40,
        description="bare-metal-1",
        executor="shell",
        weight=2,
        releases=_releases("15.8.2", "15.9.1", "16.11.2", "18.11.1"),
    ),
    Runner(
        id=41,
        description="lab-gateway",
        executor="ssh",
        weight=1,
        releases=_releases("13.12.0", "15.11.1", "17.5.0"),
    ),
    Runner(
        id=42,
        description="elastic-machines",
        executor="instance",
        weight=1,
        releases=_releases("16.11.2", "18.2.0", "19.1.1"),
    ),
    Runner(
        id=43,
        description="sandboxes",
        executor="custom",
        weight=1,
        releases=_releases("14.4.0", "17.2.1", "18.9.0"),
    ),
    Runner(
        id=44,
        description="virtual-lab",
        executor="virtualbox",
        weight=1,
        releases=_releases("14.1.0", "14.10.1", "16.8.0"),
    ),
    Runner(
        id=45,
        description="windows-builders",
        executor="docker-windows",
        weight=4,
        releases=_releases("15.11.1", "17.9.2", "18.11.0"),
        policies=ALWAYS_ELSE_LOCAL,
        helper="named",
    ),
)
