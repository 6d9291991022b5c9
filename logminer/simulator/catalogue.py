"""The images of the company: references whose parts are known before they are ever printed.

Every image is built from its parts (registry, repository, tag, …), so the truth about a trace
needs no parsing of text. The rules of normalisation are those of the distribution project:
`docker.io` and `library/` are implied where the written name leaves them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from logminer.simulator.dice import hex64

HUB = "docker.io"
INSTANCE = "gitlab.example.com"
"""The host of the company's GitLab, as image references write it."""
PROXY = f"{INSTANCE}:443"
"""`CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX` carries the port."""
OWN_REGISTRY = "registry.gitlab.example:5050"
"""The container registry of the company's GitLab."""
MIRROR = "harbor.example.com"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

_FULL_VERSION = re.compile(r"v?\d+\.\d+\.\d+|[0-9a-f]{8}$")
"""A tag that names one build: it never moves, every other tag drifts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image reference with its parts; `name` is the written part before tag and digest."""

    name: str
    registry: str | None
    """Normalised; None where the written text is no reference (an unexpanded variable)."""
    repository: str | None
    tag: str | None = None
    digest: str | None = None
    """Written in the reference: the image is pinned."""
    via: str | None = None
    upstream_registry: str | None = None
    upstream_repository: str | None = None
    local: bool = False
    """Built on the runner's machine and in no registry: it has no manifest digest."""

    @property
    def written(self) -> str:
        """The reference as a job names it."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}@{self.digest}" if self.digest else f"{self.name}{tag}"

    @property
    def identity(self) -> str:
        """The canonical reference: what makes two spellings the same image."""
        if self.registry is None:
            return self.name
        if self.digest:
            return f"{self.registry}/{self.repository}@{self.digest}"
        return f"{self.registry}/{self.repository}:{self.tag or 'latest'}"

    @property
    def content(self) -> tuple[str, str]:
        """What the bytes of the image depend on: a proxy serves the content of its upstream."""
        registry = self.upstream_registry or self.registry or self.name
        return f"{registry}/{self.upstream_repository or self.repository}", self.tag or "latest"


def hub(repository: str, tag: str | None = None) -> Image:
    """Return an image of Docker Hub in the short form people write."""
    full = repository if "/" in repository else f"library/{repository}"
    return Image(name=repository, registry=HUB, repository=full, tag=tag)


def hosted(registry: str, repository: str, tag: str | None = None) -> Image:
    """Return an image written with its registry."""
    return Image(name=f"{registry}/{repository}", registry=registry, repository=repository, tag=tag)


def own(repository: str, tag: str | None = None) -> Image:
    """Return an image of the company's own container registry (a host with a port)."""
    return hosted(OWN_REGISTRY, repository, tag)


def local(repository: str, tag: str) -> Image:
    """Return an image that exists only on the runner's machine."""
    return replace(hub(repository, tag), local=True)


def unresolved(text: str) -> Image:
    """Return what the runner names without its being a reference (`$VARIABLE/x`, `[MASKED]/x`)."""
    return Image(name=text, registry=None, repository=None)


def through_dependency_proxy(image: Image, group: str) -> Image:
    """Return a Docker Hub image as fetched through the Dependency Proxy of a top-level group."""
    return _through(
        image, PROXY, f"{group}/dependency_proxy/containers/{image.name}", "dependency_proxy"
    )


def through_virtual_registry(image: Image) -> Image:
    """Return a Docker Hub image as fetched through the instance's container virtual registry."""
    path = f"virtual_registries/container/1/{image.repository}"
    return _through(image, INSTANCE, path, "virtual_registry")


def _through(image: Image, registry: str, path: str, via: str) -> Image:
    return replace(
        image,
        name=f"{registry}/{path}",
        registry=registry,
        repository=path,
        via=via,
        upstream_registry=image.registry,
        upstream_repository=image.repository,
    )


def canonical(image: Image) -> Image:
    """Return the image under its full name, tag filled in, as BuildKit writes it."""
    name = f"{image.registry}/{image.repository}"
    return replace(image, name=name, tag=image.tag or ("latest" if not image.digest else None))


def tagged(image: Image) -> Image:
    """Return the image as Docker's client names it: `latest` filled in."""
    return image if image.tag or image.digest else replace(image, tag="latest")


def pinned(image: Image, day: int) -> Image:
    """Return the image pinned to the digest its tag had on that day."""
    return replace(image, digest=digest_on(image, day))


def digest_on(image: Image, day: int) -> str:
    """Return the manifest digest a registry gives for the image on that day (proleptic ordinal)."""
    return (
        image.digest or f"sha256:{_content_hash('manifest', *image.content, _edition(image, day))}"
    )


def image_id_on(image: Image, day: int) -> str:
    """Return the local image ID of what the registry gives on that day."""
    edition = image.digest or _edition(image, day)
    return f"sha256:{_content_hash('configuration', *image.content, edition)}"


@lru_cache(maxsize=8192)
def _content_hash(*parts: object) -> str:
    return hex64(*parts)


def _edition(image: Image, day: int) -> int:
    """Count the rebuilds of a tag: a tag of a full version never moves, the others drift."""
    name, tag = image.content
    if _FULL_VERSION.match(tag):
        return 0
    weight = sum(map(ord, name + tag))  # spreads the rebuilds of different images over the days
    return (day + weight) // (14 + weight % 45)
