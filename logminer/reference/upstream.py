"""See through mirrors: which registry and repository a proxied image really comes from.

A company that pulls Docker Hub's images through a proxy, a cache or a mirror still consumes Docker
Hub; counted by the name in the log alone, that consumption disappears.
A mirror is one line of a table: names that begin so come from there.
The table of a company stands in a TOML file:

    [[mirror]]
    name     = "harbor"                  # what the column `via` will say
    registry = "harbor.example.com"      # host[:port] as the logs name it
    prefix   = "dockerhub"               # leading part of the repository, not part of the upstream
    upstream = "docker.io"               # the registry behind it

`prefix` is optional: a mirror with a host of its own has none.
In `registry` and `prefix` a `*` stands for one or more characters but `/`, and `**` crosses `/`.
The first line that fits decides; the file's lines come before the built-in ones.
More lines of this kind:

    ECR pull-through cache      registry = "*.dkr.ecr.*.amazonaws.com"     prefix = "docker-hub"
    Artifactory by path         registry = "artifactory.example.com"       prefix = "docker-remote"
    Artifactory by host         registry = "docker-remote.jfrog.example.com"
    Nexus by port               registry = "nexus.example.com:8083"
    GitLab virtual registry 7   registry = "gitlab.example.com"
                                prefix = "virtual_registries/container/7"  upstream = "quay.io"

Only names that can mean nothing else are built in.
An image of Docker Hub comes from Docker Hub, whatever its path looks like.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Self

from logminer.errors import UsageError
from logminer.reference.grammar import DOCKER_HUB, canonical_registry, canonical_repository, parse

if TYPE_CHECKING:
    from pathlib import Path

    from logminer.reference.grammar import ImageReference

_SHAPES = {
    "name": (re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"), "a single word such as 'harbor'"),
    "registry": (
        re.compile(r"[A-Za-z0-9.*:\[\]-]+"),
        "a host or host:port such as 'harbor.example.com'",
    ),
    "prefix": (
        re.compile(r"[a-z0-9._*-]+(?:/[a-z0-9._*-]+)*"),
        "the leading part of a repository such as 'dockerhub'",
    ),
    "upstream": (re.compile(r"[A-Za-z0-9.:\[\]-]+"), "a registry such as 'docker.io'"),
}
"""What each key of an entry looks like, and how to say so."""

_MAX_KNOWN = 4096
"""Answers that are remembered."""

_OPTIONAL = "prefix"
_ASKED = "name a TOML file of [[mirror]] entries"
_ENTRY = "an entry has name, registry and upstream, and prefix where there is one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where a proxied image comes from."""

    via: str
    """Name of the mirror it came through."""
    registry: str
    repository: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """One line of the table: names that begin so come from `upstream`."""

    name: str
    registry: str
    """Pattern of the mirror's host[:port]."""
    prefix: str | None
    """Pattern of the leading part of the repository; None where all of it is the upstream's."""
    upstream: str
    """Registry behind the mirror."""

    def resolve(self, ref: ImageReference) -> Upstream | None:
        """Return the upstream of an image behind this mirror, None for every other image."""
        match = _pattern(self.registry, self.prefix).fullmatch(f"{ref.registry}/{ref.repository}")
        if match is None:
            return None
        return Upstream(
            via=self.name,
            registry=self.upstream,
            repository=canonical_repository(self.upstream, match["rest"]),
        )


_BUILT_IN = (
    # GitLab's Dependency Proxy: HOST/GROUP/dependency_proxy/containers/IMAGE, in front of Docker
    # Hub; the group may be nested.
    Mirror(
        name="dependency_proxy",
        registry="*",
        prefix="**/dependency_proxy/containers",
        upstream=DOCKER_HUB,
    ),
    # GitLab's container virtual registry: HOST/virtual_registries/container/ID/IMAGE.
    # Its upstreams, up to five, are settings that no name shows: Docker Hub is assumed.
    Mirror(
        name="virtual_registry",
        registry="*",
        prefix="virtual_registries/container/*",
        upstream=DOCKER_HUB,
    ),
    # Google's public cache of Docker Hub.
    Mirror(name="mirror.gcr.io", registry="mirror.gcr.io", prefix=None, upstream=DOCKER_HUB),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstreams:
    """The table of mirrors, in order: the first that fits decides."""

    mirrors: tuple[Mirror, ...]
    _known: dict[tuple[str, str], Upstream | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Answers that were given: a company uses some hundreds of repositories, over and over."""

    @classmethod
    def default(cls) -> Self:
        """Return the built-in table."""
        return cls(mirrors=_BUILT_IN)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the table of a TOML file, followed by the built-in one.

        Raises UsageError, in one line that names the file and the entry, where the file cannot be
        read or says something else than this module describes.
        """
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}; {_ASKED}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: is not UTF-8 text; {_ASKED}") from error
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path}: is not TOML: {error}") from error
        unknown = sorted(document.keys() - {"mirror"})
        if unknown:
            raise UsageError(f"{path}: unknown name {unknown[0]!r}; write [[mirror]] entries")
        entries = document.get("mirror", [])
        if not isinstance(entries, list):
            raise UsageError(f"{path}: 'mirror' is no list of tables; write [[mirror]] entries")
        mirrors = (
            _mirror(entry, where=f"{path}: entry {number}")
            for number, entry in enumerate(entries, start=1)
        )
        return cls(mirrors=(*mirrors, *_BUILT_IN))

    def resolve(self, ref: ImageReference) -> Upstream | None:
        """Return where the image really comes from; None if its registry is the source itself.

        Never raises.
        """
        if ref.registry == DOCKER_HUB:
            return None
        name = ref.registry, ref.repository
        if name not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            found = (mirror.resolve(ref) for mirror in self.mirrors)
            self._known[name] = next((each for each in found if each is not None), None)
        return self._known[name]


@cache
def _pattern(registry: str, prefix: str | None) -> re.Pattern[str]:
    """Compile one line of the table, once; host names know no case, repositories are lower case."""
    head = f"(?i:{_glob(registry)})/"
    if prefix is not None:
        head += f"{_glob(prefix)}/"
    return re.compile(f"{head}(?P<rest>.+)")


def _glob(pattern: str) -> str:
    """Translate `*` and `**`; lazily, so that the leftmost place where the prefix ends counts."""
    wild = {"**": ".+?", "*": "[^/]+?"}
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join(wild.get(part, re.escape(part)) for part in parts)


def _mirror(entry: object, *, where: str) -> Mirror:
    """Check one entry of the file and return it as a line of the table."""
    if not isinstance(entry, dict):
        raise UsageError(f"{where} is not a table; {_ENTRY}")
    unknown = sorted(entry.keys() - _SHAPES.keys())
    if unknown:
        raise UsageError(f"{where} has an unknown key {unknown[0]!r}; {_ENTRY}")
    for key, (shape, words) in _SHAPES.items():
        value = entry.get(key)
        if value is None and key == _OPTIONAL:
            continue
        if value is None:
            raise UsageError(f"{where} has no {key}; {_ENTRY}")
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise UsageError(f"{where}: {key} must be {words}, not {value!r}")
    if canonical_registry(entry["registry"]) == DOCKER_HUB:
        raise UsageError(f"{where}: registry {entry['registry']!r} is Docker Hub, not a mirror")
    # The grammar says whether this is a registry, and under which name it is known.
    probe = parse(f"{entry['upstream']}/some/image")
    if probe is None or probe.repository != "some/image":
        raise UsageError(
            f"{where}: upstream must be {_SHAPES['upstream'][1]}, not {entry['upstream']!r}"
        )
    return Mirror(
        name=entry["name"],
        registry=entry["registry"],
        prefix=entry.get(_OPTIONAL),
        upstream=probe.registry,
    )
