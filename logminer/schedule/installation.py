"""What is known of an installation: where its program, its store and its server are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from logminer import __version__

CHANGE_ME: Final = "CHANGE-ME"
"""What nobody could know stands in the files as this word."""

URL: Final = f"https://gitlab.{CHANGE_ME}.example"
STORE: Final = "/var/lib/logminer/store"
"""The store where none was named: what `StateDirectory=` of a unit makes."""

DATA: Final = "/data"
"""Where a container has its volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One nightly harvest."""

    executable: str
    """Absolute path of `logminer` on this machine."""
    flags: tuple[str, ...]
    """Of the harvest: its scope and whatever else was asked for, but for what stands below."""
    url: str = URL
    store: str = STORE
    """An absolute path, or the address of a bucket."""
    token_file: str = "/etc/logminer/token"  # noqa: S105 -- a path
    metrics_file: str | None = None
    """None for a place beside the store."""
    name: str = "logminer"
    """Of units, jobs and secrets: several harvests on one machine need several."""
    image: str = f"registry.{CHANGE_ME}.example/logminer:{__version__}"
    hour: int = 2
    minute: int = 17

    @property
    def in_bucket(self) -> bool:
        """Whether the store is on object storage."""
        return "://" in self.store

    @property
    def cron(self) -> str:
        """When it runs, as cron says it."""
        return f"{self.minute} {self.hour} * * *"

    @property
    def clock(self) -> str:
        """When it runs, as people say it."""
        return f"{self.hour:02}:{self.minute:02}"

    @property
    def metrics(self) -> str:
        """Where the metrics go on this machine."""
        if self.metrics_file is not None:
            return self.metrics_file
        if self.in_bucket:
            return f"/var/lib/logminer/{self.name}.prom"
        return f"{self.store.rpartition('/')[0]}/{self.name}.prom"

    def harvest(self, program: str, *, store: str, token_file: str | None) -> tuple[str, ...]:
        """Return the command of the harvest, without where its metrics go."""
        token = ("--token-file", token_file) if token_file is not None else ()
        return (program, "harvest", "--url", self.url, *token, "--store", store, *self.flags)

    @property
    def unknown(self) -> dict[str, str]:
        """What is still to be filled in, by the flags that would say it."""
        places = {"--url": self.url, "--image": self.image}
        unknown = {flag: value for flag, value in places.items() if CHANGE_ME in value}
        if CHANGE_ME in self.flags:
            unknown["--group or --project"] = f"--group {CHANGE_ME}"
        return unknown
