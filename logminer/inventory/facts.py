"""What is known of a project beside its files: the variables that GitLab gives its jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_PATH = ".gitlab-ci.yml"
"""Where GitLab looks for the CI configuration, unless a project's settings say otherwise."""

_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the readers may know of a project; nothing is known by default."""

    predefined: Mapping[str, str] = field(default_factory=dict)
    """GitLab's own variables (`CI_*`): the configuration's variables win over them."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """CI/CD variables of the project, its groups and the instance, where they are known, and
    those named by hand: they win over the configuration's.
    """
    config_path: str = CONFIG_PATH


def predefined(
    *,
    server_url: str,
    project_path: str,
    project_id: int | None = None,
    default_branch: str | None = None,
    registry_image: str | None = None,
) -> dict[str, str]:
    """Return the predefined variables that follow from what the API says of a project.

    `registry_image` is its `container_registry_image_prefix`.
    Names as in GitLab's list of predefined variables; what differs from job to job is not known.
    """
    url = urlsplit(server_url)
    host = url.hostname or ""
    port = str(url.port or "") or _PORTS.get(url.scheme, "")
    namespace, _, name = project_path.rpartition("/")
    root = project_path.partition("/")[0]
    proxy = f"{host}:{port}"  # GitLab writes the port also where it is the scheme's own
    known = {
        "CI_API_V4_URL": f"{server_url.rstrip('/')}/api/v4",
        "CI_DEPENDENCY_PROXY_SERVER": proxy,
        "CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX": f"{proxy}/{root.lower()}"
        "/dependency_proxy/containers",
        "CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX": f"{proxy}/{namespace.lower()}"
        "/dependency_proxy/containers",
        "CI_PROJECT_NAME": name,
        "CI_PROJECT_NAMESPACE": namespace,
        "CI_PROJECT_PATH": project_path,
        "CI_PROJECT_ROOT_NAMESPACE": root,
        "CI_PROJECT_URL": f"{server_url.rstrip('/')}/{project_path}",
        "CI_SERVER_HOST": host,
        "CI_SERVER_PORT": port,
        "CI_SERVER_PROTOCOL": url.scheme,
        "CI_SERVER_URL": server_url.rstrip("/"),
    }
    if project_id is not None:
        known["CI_PROJECT_ID"] = str(project_id)
    if default_branch is not None:
        known["CI_DEFAULT_BRANCH"] = default_branch
    if registry_image is not None:
        known["CI_REGISTRY_IMAGE"] = registry_image
        known["CI_REGISTRY"] = registry_image.partition("/")[0]
    return known
