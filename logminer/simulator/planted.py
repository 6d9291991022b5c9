"""The truth about a trace: which image uses its text shows, known from the parts it was made of.

The narrators (docker, kubernetes, scripts) tell the truth beside every line they write: an image
was named, the registry was asked, the answer came. Nothing here reads the finished text.
What a log cannot show is not planted: a Kubernetes service without pod events has no row.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from logminer.simulator.catalogue import Image

_STRENGTH = {
    name: position
    for position, name in enumerate(("declared", "rejected", "failed", "used", "present", "pulled"))
}
"""Weakest first; the strongest outcome a log shows is the outcome of the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One image use that a job's trace shows; the words are those of the `images` table."""

    job_id: int
    role: str
    origin: str
    outcome: str
    image: str
    registry: str | None
    repository: str | None
    tag: str | None
    digest: str | None
    image_id: str | None
    pull_policy: str | None
    pull_attempts: int
    credentials: str | None
    platform: str | None
    downloaded: bool | None
    error_kind: str | None
    via: str | None
    upstream_registry: str | None
    upstream_repository: str | None


@dataclass(slots=True, kw_only=True)
class Use:
    """An image use while its trace is being written."""

    role: str
    origin: str
    image: Image
    outcome: str = "declared"
    digest: str | None = None
    image_id: str | None = None
    pull_policy: str | None = None
    pull_attempts: int = 0
    credentials: str | None = None
    platform: str | None = None
    downloaded: bool | None = None
    error_kind: str | None = None

    def reach(self, outcome: str) -> None:
        """Note an outcome; a weaker one than is already known changes nothing."""
        if _STRENGTH[outcome] > _STRENGTH[self.outcome]:
            self.outcome = outcome

    def fail(self, kind: str) -> None:
        """Note a failure; its kind stays known when a later policy rescues the use."""
        self.reach("failed")
        self.error_kind = kind


@dataclass(slots=True)
class Truth:
    """The image uses of one trace in the order in which the log first names them."""

    uses: dict[tuple[str, str], Use] = field(default_factory=dict)

    def see(self, role: str, image: Image, origin: str = "runner") -> Use:
        """Return the use of this image in this role, new if the log names it for the first time."""
        key = (role, image.identity)
        use = self.uses.get(key)
        if use is None:
            use = Use(role=role, origin=origin, image=image, digest=image.digest)
            self.uses[key] = use
        return use

    def see_id(self, image_id: str, pull_policy: str | None) -> None:
        """Note a bundled helper: it is known by its local ID only and never pulled."""
        image = Image(name=image_id, registry=None, repository=None)
        use = self.see("helper", image)
        use.image_id = image_id
        use.pull_policy = pull_policy
        use.reach("present")

    def ran(self) -> None:
        """Note that the job ran: its containers had what was only declared, or failed at first."""
        for use in self.uses.values():
            if use.origin == "runner" and use.outcome in {"declared", "failed"}:
                use.reach("used")

    def rows(self, job_id: int) -> tuple[Planted, ...]:
        """Return the finished rows in order of appearance."""
        return tuple(
            Planted(
                job_id=job_id,
                role=use.role,
                origin=use.origin,
                outcome=use.outcome,
                image=use.image.written,
                registry=use.image.registry,
                repository=use.image.repository,
                tag=use.image.tag,
                digest=use.digest,
                image_id=use.image_id,
                pull_policy=use.pull_policy,
                pull_attempts=use.pull_attempts,
                credentials=use.credentials,
                platform=use.platform,
                downloaded=use.downloaded,
                error_kind=use.error_kind,
                via=use.image.via,
                upstream_registry=use.image.upstream_registry,
                upstream_repository=use.image.upstream_repository,
            )
            for use in self.uses.values()
        )
