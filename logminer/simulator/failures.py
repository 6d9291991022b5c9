"""Why a registry does not give an image: the texts of Docker, of containerd and of BuildKit.

The kinds are the words of the `error_kind` column. Which kind a registry answers with follows its
nature: only Docker Hub limits by rate, an ECR says `no basic auth credentials`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.simulator.catalogue import ECR, HUB, Image

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_LIMIT = (
    "toomanyrequests: You have reached your pull rate limit. You may increase the limit by "
    "authenticating and upgrading: https://www.docker.com/increase-rate-limit"
)

HUB_KINDS = ("rate_limited",) * 4 + ("denied", "denied", "not_found", "network", "server", "other")
PRIVATE_KINDS = (
    "unauthorized",
    "denied",
    "not_found",
    "not_found",
    "network",
    "tls",
    "server",
    "platform",
)


def likely_kind(rng: random.Random, image: Image) -> str:
    """Return a kind of failure that the image's registry may answer with."""
    return rng.choice(HUB_KINDS if image.registry == HUB else PRIVATE_KINDS)


def docker_error(kind: str, image: Image, *, quoted_urls: bool) -> str:
    """Return the text of the Docker daemon, `Error response from daemon: ` included.

    Docker before 20.10 printed URLs without quotes.
    """
    return "Error response from daemon: " + _DOCKER[kind](image, '"' if quoted_urls else "")


def _registry_host(image: Image) -> str:
    return "registry-1.docker.io" if image.registry == HUB else str(image.registry)


def _manifest_url(image: Image) -> str:
    reference = image.digest or image.tag or "latest"
    return f"https://{_registry_host(image)}/v2/{image.repository}/manifests/{reference}"


def _not_found(image: Image, _quote: str) -> str:
    tag = f"@{image.digest}" if image.digest else f":{image.tag or 'latest'}"
    return f"manifest for {image.name}{tag} not found: manifest unknown: manifest unknown"


def _unauthorized(image: Image, quote: str) -> str:
    if image.registry == ECR:
        return f"Head {quote}{_manifest_url(image)}{quote}: no basic auth credentials"
    return f"Get {quote}{_manifest_url(image)}{quote}: unauthorized: authentication required"


def _network(image: Image, quote: str) -> str:
    host = _registry_host(image)
    cause = f"dial tcp: lookup {host} on 10.0.0.2:53: no such host"
    return f"Get {quote}https://{host}/v2/{quote}: {cause}"


def _tls(image: Image, quote: str) -> str:
    return (
        f"Get {quote}https://{_registry_host(image)}/v2/{quote}: "
        "x509: certificate signed by unknown authority"
    )


_DOCKER: dict[str, Callable[[Image, str], str]] = {
    "rate_limited": lambda _image, _quote: _LIMIT,
    "not_found": _not_found,
    "unauthorized": _unauthorized,
    "denied": lambda image, _quote: (
        f"pull access denied for {image.name}, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied"
    ),
    "network": _network,
    "tls": _tls,
    "server": lambda _image, _quote: "received unexpected HTTP status: 503 Service Unavailable",
    "platform": lambda _image, _quote: (
        "no matching manifest for linux/arm64/v8 in the manifest list entries"
    ),
    "other": lambda _image, _quote: (
        "failed to register layer: write /usr/lib/x86_64-linux-gnu/libicudata.so.72.1: "
        "no space left on device"
    ),
}


def kubelet_error(kind: str, image: Image) -> str:
    """Return the kubelet's text, as containerd gives it; `other` is a back-off without a cause."""
    if kind == "other":
        return f'Back-off pulling image "{image.written}"'
    full = f"{image.registry}/{image.repository}:{image.tag or 'latest'}"
    if image.digest:
        full = f"{image.registry}/{image.repository}@{image.digest}"
    code, cause = _CONTAINERD[kind](image, full)
    return (
        f'rpc error: code = {code} desc = failed to pull and unpack image "{full}": '
        f'failed to resolve reference "{full}": {cause}'
    )


_CONTAINERD: dict[str, Callable[[Image, str], tuple[str, str]]] = {
    "rate_limited": lambda image, _full: (
        "Unknown",
        (
            f"unexpected status from HEAD request to {_manifest_url(image)}: "
            f"429 Too Many Requests - {_LIMIT}"
        ),
    ),
    "not_found": lambda _image, full: ("NotFound", f"{full}: not found"),
    "unauthorized": lambda _image, _full: (
        "Unknown",
        "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized",
    ),
    "denied": lambda image, _full: (
        "Unknown",
        f"unexpected status from HEAD request to {_manifest_url(image)}: 403 Forbidden",
    ),
    "network": lambda image, _full: (
        "Unavailable",
        (
            f'failed to do request: Head "{_manifest_url(image)}": '
            "dial tcp 10.20.0.7:443: connect: connection refused"
        ),
    ),
    "tls": lambda image, _full: (
        "Unknown",
        (
            f'failed to do request: Head "{_manifest_url(image)}": '
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        ),
    ),
    "server": lambda image, _full: (
        "Unknown",
        f"unexpected status from HEAD request to {_manifest_url(image)}: 502 Bad Gateway",
    ),
    "platform": lambda _image, _full: ("Unknown", "no matching manifest for linux/arm64/v8"),
}


def buildkit_error(kind: str, image: Image) -> str:
    """Return what BuildKit says when it cannot read the metadata of a base image."""
    full = f"{image.registry}/{image.repository}:{image.tag or 'latest'}"
    return _BUILDKIT.get(kind, _BUILDKIT["server"])(full)


_BUILDKIT: dict[str, Callable[[str], str]] = {
    "rate_limited": lambda _full: f"429 Too Many Requests: {_LIMIT}",
    "not_found": lambda full: f"{full}: not found",
    "denied": lambda _full: (
        "pull access denied, repository does not exist or may require authorization: "
        "server message: insufficient_scope: authorization failed"
    ),
    "unauthorized": lambda _full: (
        "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized"
    ),
    "server": lambda _full: "unexpected status: 503 Service Unavailable",
}
BUILDKIT_KINDS = frozenset(_BUILDKIT)


def podman_error(kind: str, image: Image) -> str:
    """Return what podman says when it cannot get an image, named in full."""
    repository = f"{image.registry}/{image.repository}"
    return (
        f"Error: initializing source docker://{image.written}: "
        f"reading manifest {image.digest or image.tag} in {repository}: {_PODMAN[kind]}\n"
    )


_PODMAN = {
    "denied": "requested access to the resource is denied",
    "not_found": "manifest unknown",
    "rate_limited": _LIMIT,
    "unauthorized": "unauthorized: authentication required",
}
PODMAN_KINDS = frozenset(_PODMAN)


def failure_reason(version: tuple[int, int, int], kind: str) -> str:
    """Return the `failure_reason` a new server (19.1 or later) shows for a failed image pull.

    Runners learned to tell the causes apart one after the other; before 16.1 a pull that failed
    looked like the script's fault.
    """
    if version < (16, 1):
        return "script_failure"
    if version < (19, 1):
        return "runner_system_failure"
    if kind == "not_found" or (kind in {"denied", "unauthorized"} and version >= (19, 2)):
        return "runner_configuration_error"
    if kind in {"network", "tls"}:
        return "runner_external_dependency_failure"
    return "runner_system_failure"
