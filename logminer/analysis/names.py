"""Names that people give to images they worry about, as patterns over registry and repository.

    bitnami                    an organisation on Docker Hub, or an official image of that name
    bitnami/redis              a repository there
    bitnami/*                  a pattern; * stands for anything, also across /
    docker.io/library/*        the official images
    quay.io, quay.io/coreos    a whole registry, an organisation or group on it
    python:3.8, python:3.*     only these tags; a missing tag is latest

A file holds one on each line; what follows a # is a remark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.errors import UsageError
from logminer.reference.grammar import DOCKER_HUB, canonical_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_SHAPE: Final = re.compile(
    r"(?P<path>[a-z0-9.*_-]+(?::[0-9]+(?=/))?(?:/[a-z0-9.*_-]+)*)/?"
    r"(?::(?P<tag>[A-Za-z0-9_.*-]+))?(?:@(?P<digest>sha\d+:[0-9a-f]+))?"
)
_FORMS: Final = (
    "write an organisation (bitnami), a repository (bitnami/redis), a registry (quay.io), a pattern"
    " (docker.io/library/*) or one with a tag (python:3.8)"
)
_FILE: Final = "name a file with a name on each line"
_HOST_AND_PORT: Final = re.compile(r"[a-z0-9*-]+(?:\.[a-z0-9*-]+)*:[0-9]+")
_LONGEST: Final = 1024
"""Characters: what is longer names no image (`reference.grammar`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One way in which a name can be meant; the patterns are those of SQL's LIKE, escaped by !."""

    name: str
    """As it was given."""
    registry: str
    repository: str
    tag: str | None
    digest: str | None


def read_names(path: Path) -> list[str]:
    """Return the names in a file; raises UsageError where it cannot be read or holds none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; {_FILE}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text; {_FILE}") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise UsageError(f"{path}: holds no name; {_FORMS}")
    return names


def wanted(names: Iterable[str]) -> list[Wanted]:
    """Return every way in which the names can be meant.

    Raises UsageError for a text that can name no image, and for no names at all.
    """
    found = [each for name in dict.fromkeys(names) for each in _ways(name)]
    if not found:
        raise UsageError(f"no name is given; {_FORMS}")
    return found


def _ways(name: str) -> Iterator[Wanted]:
    """Yield the ways in which one name can be meant."""
    text = name.strip()
    if _HOST_AND_PORT.fullmatch(text.lower()) and ("." in text or text.startswith("localhost")):
        text += "/*"  # a registry, not a tag
    path, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        path, tag = text, ""
    match = _SHAPE.fullmatch(path.lower() + (f":{tag}" if tag else ""))
    if "@" in text:
        match = _SHAPE.fullmatch(text.lower())
    if match is None or len(text) > _LONGEST:
        raise UsageError(f"{text[:60]!r} names no image; {_FORMS}")
    registry, slash, repository = match["path"].partition("/")
    if "." not in registry and ":" not in registry and registry != "localhost":
        registry, slash, repository = DOCKER_HUB, "/", match["path"]
    registry = canonical_registry(registry)
    repositories = [repository if slash else "*"]
    if registry == DOCKER_HUB and slash and "/" not in repository:
        repositories.append(f"library/{repository}")
    exact = match["tag"] or match["digest"]
    for each in repositories:
        for below in ("",) if exact or each.endswith("*") else ("", "/*"):
            yield Wanted(
                name=name.strip(),
                registry=_like(registry),
                repository=_like(each + below),
                tag=match["tag"] and _like(match["tag"]),
                digest=match["digest"],
            )


def _like(pattern: str) -> str:
    """Return a pattern with * as one of SQL's LIKE."""
    return pattern.replace("_", "!_").replace("*", "%")
