r"""The grammar of image references: text in, parts out, or None.

    reference := name [":" tag] ["@" digest]
    name      := [domain "/"] path
    domain    := host [":" port]        host := component ("." component)* | "[" IPv6 "]"
    path      := segment ("/" segment)*

The rules are those of distribution/reference (`regexp.go`, `normalize.go`, `reference.go`), which
every container engine shares; ours are its *domain* as `registry` and its *path* as `repository`.
One compiled pattern decides.
No repetition in it can be entered twice for the same characters (all are possessive), so the time
taken grows with the length of the text and never faster; what is longer than `MAX_LENGTH` is not
looked at.

Departures, each because a log is not a registry:

* `sha256:…` without a repository is an image ID or a piece of one, never a repository named
  `sha256`; the same for the other algorithms.
  Engines refuse to create such a tag for the same reason (moby: "ambiguous tag using digest
  algorithm as name").
* A tag may not end in a dot.
  The grammar allows it, but in a log `postgres:latest...` is the end of a sentence.
* A first part with a dot or a port that is no valid host (`my_host.com/app`) is no reference.
  distribution calls it a path without a domain, which names no registry.
* Docker Hub's other host names mean `docker.io`, as its legacy name does for distribution.
* A registry has a bounded length, which distribution leaves to the resolver.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

DOCKER_HUB = "docker.io"
"""The registry of a reference that names none."""

MAX_LENGTH = 1024
"""Characters; a longer text is not looked at.

The longest reference has below 800: registry and repository as below, 128 for the tag, 135 for a
sha512 digest.
"""

MAX_REGISTRY_LENGTH = 259
"""Characters: 253 for a host name (RFC 1035) and 6 for its port."""

MAX_REPOSITORY_LENGTH = 255
"""Characters, `library/` included and the registry not (distribution/reference, pull request 9)."""

_CACHED = 2048
"""A job names about ten references and a company some hundreds, over and over."""

_HUB_HOSTS = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
"""The legacy name (normalize.go), the host that serves the pulls, and the old web API's host."""

# regexp.go, domainNameComponent: letters, digits and inner dashes, in runs so that a run is
# never cut at two places.
_COMPONENT = r"[A-Za-z0-9]++(?:-++[A-Za-z0-9]++)*+"
_HOST = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*+|\[[0-9A-Fa-f:]++\])"
# regexp.go, separator: one dot, one or two underscores, any number of dashes.
_SEGMENT = r"[a-z0-9]++(?:(?:\.|__?+|-++)[a-z0-9]++)*+"
# go-digest, algorithm.go: the registered algorithms, in lower-case hexadecimal of exact length.
_DIGEST = r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}"
# normalize.go, splitDockerDomain: what makes the text before the first slash a registry.
_IS_REGISTRY = r"(?=localhost/|[^/.:A-Z]*+[.:A-Z][^/]*+/)"

_REFERENCE = re.compile(
    rf"""
    (?! [0-9a-f]{{64}} \Z | sha(?:256|384|512): [^/]*+ \Z )      # an image ID
    (?: {_IS_REGISTRY} ({_HOST}(?::[0-9]++)?+) / | (?!{_IS_REGISTRY}) )
    ({_SEGMENT}(?:/{_SEGMENT})*+)
    (?: : (?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}+(?<!\.)) )?+
    (?: @ (?P<digest>{_DIGEST}) )?+
    """,
    re.VERBOSE,
)
_IMAGE_ID = re.compile(r"(?:sha256:)?+[0-9a-f]{64}")
_ID_LENGTHS = (64, 71)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """An image reference taken apart; `parse` is its only maker."""

    written: str
    """The text as it stood."""
    registry: str
    """Host and port as written; `docker.io` for Docker Hub under any of its names."""
    repository: str
    """Path under the registry, on Docker Hub with `library/` filled in."""
    tag: str | None
    """As written; None where there is none."""
    digest: str | None
    """`algorithm:hex` of the manifest; None where there is none."""
    reference: str = field(init=False)
    """The canonical text: equal for two references that name the same image.

    A digest decides and the tag beside it is dropped (ParseDockerRef); without either the tag is
    `latest`.
    """

    def __post_init__(self) -> None:
        """Put the canonical text together, once."""
        end = f"@{self.digest}" if self.digest is not None else f":{self.tag or 'latest'}"
        object.__setattr__(self, "reference", f"{self.registry}/{self.repository}{end}")

    def __str__(self) -> str:
        """Return the canonical text."""
        return self.reference


def parse(text: str) -> ImageReference | None:
    """Take an image reference apart; None for any text that is none.

    Image IDs, unresolved variables, URLs, transport prefixes (`docker://`) and text with
    punctuation still attached are none.
    Whether a well-formed text was meant as an image (`linux/amd64`) only its place in the log
    can tell.
    Never raises.
    """
    # Beside the cache, so that it never holds a text of unbounded length.
    return _parse(text) if len(text) <= MAX_LENGTH else None


def image_id(text: str) -> str | None:
    """Return the text if it is the local ID of an image, else None.

    That is `sha256:` and 64 hexadecimal digits, or the 64 digits alone, which engines printed
    before Docker 1.10; each is returned as written.
    Never raises.
    """
    return text if len(text) in _ID_LENGTHS and _IMAGE_ID.fullmatch(text) else None


def canonical_registry(host: str) -> str:
    """Return `docker.io` for any host name of Docker Hub, and every other host unchanged."""
    return DOCKER_HUB if host in _HUB_HOSTS else host


def canonical_repository(registry: str, path: str) -> str:
    """Return the path under the registry, with `library/` filled in where Docker Hub implies it."""
    return f"library/{path}" if registry == DOCKER_HUB and "/" not in path else path


@lru_cache(maxsize=_CACHED)
def _parse(text: str) -> ImageReference | None:
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    host, path, tag, digest = match.groups()
    registry = DOCKER_HUB if host is None else canonical_registry(host)
    repository = canonical_repository(registry, path)
    if len(registry) > MAX_REGISTRY_LENGTH or len(repository) > MAX_REPOSITORY_LENGTH:
        return None
    return ImageReference(
        written=text, registry=registry, repository=repository, tag=tag, digest=digest
    )
