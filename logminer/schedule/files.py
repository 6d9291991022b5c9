"""The files of each kind of scheduler, and of what watches over them."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import jinja2

from logminer import __version__
from logminer.schedule import quoting
from logminer.schedule.dashboard import dashboard
from logminer.schedule.installation import CHANGE_ME, DATA

if TYPE_CHECKING:
    from logminer.schedule.installation import Installation


class Kind(StrEnum):
    """What may be asked for."""

    SYSTEMD = "systemd"
    CRON = "cron"
    KUBERNETES = "kubernetes"
    GITLAB = "gitlab"
    CONTAINER = "container"
    GRAFANA = "grafana"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to be put somewhere."""

    name: str
    text: str
    executable: bool = False


_FILES: Final = {
    # The template, and the name of its file, in which NAME is the installation's.
    Kind.SYSTEMD: {
        "harvest.service": "NAME.service",
        "harvest.timer": "NAME.timer",
        "health.service": "NAME-health.service",
        "health.timer": "NAME-health.timer",
    },
    Kind.CRON: {"harvest.sh": "NAME-harvest.sh", "crontab": "NAME.cron"},
    Kind.KUBERNETES: {"cronjob.yaml": "NAME-cronjob.yaml", "volume.yaml": "NAME-volume.yaml"},
    Kind.GITLAB: {"pipeline.yml": "NAME.gitlab-ci.yml"},
    Kind.CONTAINER: {"Containerfile": "Containerfile"},
    Kind.GRAFANA: {},
    Kind.ALERTS: {"alerts.yml": "NAME-alerts.yml"},
}


def files(kind: Kind, installation: Installation) -> list[File]:
    """Return the files of a kind for an installation.

    Raises UsageError for a word that no file can carry.
    """
    it = installation
    words = (it.executable, it.url, it.store, it.token_file, it.metrics, it.image, *it.flags)
    quoting.printable(words)
    if kind is Kind.GRAFANA:
        text = json.dumps(dashboard(), indent=2) + "\n"
        return [File(name=f"{it.name}-dashboard.json", text=text)]
    made = []
    for template, name in _FILES[kind].items():
        text = (
            _templates()
            .get_template(f"{template}.j2")
            .render(
                it=it,
                data=DATA,
                change_me=CHANGE_ME,
                version=__version__,
                own_directory=not it.in_bucket and it.store.startswith(f"/var/lib/{it.name}/"),
            )
        )
        if text.strip():
            made.append(
                File(
                    name=name.replace("NAME", it.name),
                    text=text,
                    executable=template.endswith(".sh"),
                )
            )
    return made


@functools.cache
def _templates() -> jinja2.Environment:
    """Return the templates: every value in them is quoted by name for its reader."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("logminer.schedule"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 -- nothing here is HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "systemd": quoting.systemd,
        "systemd_path": quoting.systemd_path,
        "specifiers": quoting.specifiers,
        "shell": quoting.shell,
        "yaml": quoting.yaml,
        "kubernetes": quoting.kubernetes,
    }
    return environment
