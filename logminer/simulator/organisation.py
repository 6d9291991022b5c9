"""The company: nested groups and the projects in them.

One project in forty is archived, some have CI switched off, some hide their jobs from the token's
user, and one is shared into a group of another company: what a harvester meets on a real instance.
"""

from __future__ import annotations

from dataclasses import dataclass

from logminer.simulator.dice import dice

FOREIGN_GROUP = "partners"
"""A group of another company; it has no project of its own, one is shared with it."""

_TREE: dict[str, tuple[str, ...]] = {
    "acme": (
        "platform",
        "platform/ci",
        "platform/security",
        "shop",
        "shop/checkout",
        "shop/search",
        "data",
        "data/pipelines",
        "tools",
    ),
    "orbit": ("mobile", "mobile/android", "backend", "backend/services", "backend/gateways"),
    "research": ("models", "models/vision", "sandbox"),
}
_STACKS = (
    ("python", 22),
    ("node", 22),
    ("java", 15),
    ("go", 12),
    ("php", 7),
    ("rust", 5),
    ("dotnet", 6),
    ("ruby", 4),
    ("infra", 5),
    ("docs", 3),
    ("metal", 2),
)
_FIRST_WORDS = (
    "billing",
    "catalog",
    "checkout",
    "cluster",
    "customer",
    "delivery",
    "event",
    "invoice",
    "ledger",
    "login",
    "mail",
    "metrics",
    "order",
    "payment",
    "pricing",
    "profile",
    "queue",
    "report",
    "search",
    "session",
    "stock",
    "tariff",
    "upload",
    "voucher",
    "warehouse",
)
_SECOND_WORDS = (
    "adapter", "agent", "api", "backend", "bridge", "charts", "client", "console", "core", "daemon",
    "exporter", "frontend", "gateway", "importer", "jobs", "library", "mirror", "operator",
    "proxy", "scripts", "service", "site", "sync", "tests", "worker",
)  # fmt: skip

_SHARED, _ARCHIVED, _WITHOUT_CI, _FORBIDDEN = 1, 3, 5, 6
"""The first project of each kind, by number: seven projects show them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A namespace of projects and of further groups."""

    id: int
    path: str
    """Full path, as in URLs."""
    parent_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project; `number` counts from 0 in the order of creation."""

    id: int
    number: int
    path: str
    """Full path, as in URLs."""
    group_id: int
    stack: str
    weight: float
    """How busy it is, relative to the others."""
    archived: bool
    ci_enabled: bool
    jobs_forbidden: bool
    """The token's user may see the project but not its jobs."""
    shared_with: tuple[int, ...] = ()
    """Groups it is shared with."""

    @property
    def top_group(self) -> str:
        """The first part of the path."""
        return self.path.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """All groups and projects, each ordered by id."""

    groups: tuple[Group, ...]
    projects: tuple[Project, ...]


def organise(seed: int, count: int) -> Organisation:
    """Found the company's groups and `count` projects in them."""
    groups = _groups()
    by_path = {group.path: group for group in groups}
    leaves = [group for group in groups if group.path != FOREIGN_GROUP]
    rng = dice(seed, "organisation")
    stacks, stack_weights = zip(*_STACKS, strict=True)
    taken: set[str] = set()
    projects = []
    project_id = 80
    for number in range(count):
        project_id += rng.randint(1, 9)
        group = rng.choice(leaves)
        path = f"{group.path}/{rng.choice(_FIRST_WORDS)}-{rng.choice(_SECOND_WORDS)}"
        if path in taken:
            path = f"{path}-{number}"
        taken.add(path)
        projects.append(
            Project(
                id=project_id,
                number=number,
                path=path,
                group_id=group.id,
                stack=rng.choices(stacks, stack_weights)[0],
                weight=1 / (1 + rng.randrange(count)) ** 0.6,
                archived=number % 40 == _ARCHIVED,
                ci_enabled=number % 50 != _WITHOUT_CI,
                jobs_forbidden=number % 60 == _FORBIDDEN,
                shared_with=(by_path[FOREIGN_GROUP].id,) if number == _SHARED else (),
            )
        )
    return Organisation(groups=tuple(groups), projects=tuple(projects))


def _groups() -> list[Group]:
    paths = [FOREIGN_GROUP]
    for top, below in _TREE.items():
        paths += [top, *(f"{top}/{path}" for path in below)]
    ids = {path: 10 + 3 * position for position, path in enumerate(paths)}
    return [
        Group(id=ids[path], path=path, parent_id=ids.get(path.rpartition("/")[0])) for path in paths
    ]
