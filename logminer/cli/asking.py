"""What the flags of every run ask for: which server and projects, how fast, how much, how loud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.cli import values
from logminer.errors import UsageError
from logminer.gitlab import Budget, default_scope, discover, resolve
from logminer.gitlab.retry import RetryPolicy
from logminer.reference import Upstreams
from logminer.store import Store, shelf_of, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from logminer.cli.watch import LogFormat, Volume, Watch
    from logminer.gitlab import Pacer, Settings
    from logminer.model import Project
    from logminer.store import Ledger

_FIRST_TRIES: Final = 3
"""Tries of a request before the harvest proper begins: a refused connection fails in 3 seconds.
Nothing is lost by then, and whoever mistyped the URL still looks at the screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Which GitLab, as the flags say; what they leave open, environment and file say."""

    url: str | None
    token_file: Path | None
    ca_bundle: Path | None

    def settings(self) -> Settings:
        """Return the settings; raises UsageError where they are no use."""
        return resolve(
            url=self.url,
            token=_token(self.token_file),
            ca_bundle=str(self.ca_bundle) if self.ca_bundle else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAsked:
    """What the flags of a run ask for, whatever it reads."""

    server: Server
    projects: Sequence[str]
    groups: Sequence[str]
    everything: bool
    include: Sequence[str]
    exclude: Sequence[str]
    archived: bool
    concurrency: int
    rps: float | None
    mirrors: Path | None
    max_requests: int | None
    max_duration: str | None
    dry_run: bool
    log_format: LogFormat
    volume: Volume

    def budget(self, began: float) -> Budget:
        """Return what the run may spend, where it began at `began` (monotonic seconds)."""
        duration = self.max_duration
        return Budget(
            self.max_requests,
            began + values.seconds(duration, flag="--max-duration") if duration else None,
        )

    def scope(self) -> tuple[Sequence[str], Sequence[str]]:
        """Return projects and groups; raises UsageError where nothing names any."""
        if self.projects or self.groups or self.everything:
            return self.projects, self.groups
        scope = default_scope()
        if not (scope.projects or scope.groups):
            raise UsageError(
                "nothing to harvest: give --project, --group or --all"
                " (or set GL_PROJECT_ID or GL_GROUP_ID)"
            )
        return scope.projects, scope.groups

    def upstreams(self) -> Upstreams:
        """Return the mirrors and caches to see through."""
        return Upstreams.load(self.mirrors) if self.mirrors else Upstreams.default()

    def discovered(
        self,
        settings: Settings,
        pacer: Pacer,
        budget: Budget,
        progress: Watch,
        *,
        sizes: bool = False,
    ) -> list[Project]:
        """Return the projects of the scope; raises UsageError where no pattern fits any."""
        projects, groups = self.scope()
        found = discover(
            settings,
            projects=projects,
            groups=groups,
            everything=self.everything,
            archived=self.archived,
            include=self.include,
            exclude=self.exclude,
            sizes=sizes,
            policy=RetryPolicy(attempts=_FIRST_TRIES),
            pacer=pacer,
            budget=budget,
            progress=progress.discovered,
        )
        if not found and (self.include or self.exclude):
            raise UsageError(
                "no project of the scope fits --include and --exclude: patterns are of full"
                " paths, such as 'shop/*'"
            )
        return found


def early_store(
    location: str, settings: Settings, opened: ExitStack, *, locked: bool
) -> tuple[Store | None, Ledger | None]:
    """Return the store and, if it is to be `locked`, the ledger; None where there is none yet.

    What cannot become a store, and one that is locked, is said before the server is asked; one
    that does not exist yet is not made before the server has answered.
    """
    if not shelf_of(location).exists():
        return None, None
    store, source = Store.create(location), source_of(settings.instance)
    if not (locked and store.has_ledger(source)):
        return store, None
    return store, opened.enter_context(store.open_ledger(source))


def _token(path: Path | None) -> str | None:
    """Return the token that stands in a file."""
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(
            f"cannot read the token from {path} ({error.strerror}): name a file that you can read"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} holds no token: name a text file with one") from error
    if not token:  # the environment's would be somebody else's
        raise UsageError(f"{path} is empty: name a file with the token in it")
    return token
