"""Compose files: every service's image, and what its build arguments make of a Dockerfile.

Variables by the Compose specification's interpolation; the file `.env` beside it gives defaults,
which the environment overrides.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from logminer.inventory.dockerfile import read_dockerfile
from logminer.inventory.nodes import Map, Scalar, Seq, Source, decoded, documents, is_text
from logminer.inventory.rows import Place, declaration, gap, policies
from logminer.inventory.variables import MAX_LENGTH, Value, expand_compose, weakest
from logminer.model import DeclarationKind, DeclaredRole, Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from logminer.inventory.nodes import Node
    from logminer.model import Declaration

_KIND: Final = DeclarationKind.COMPOSE
_IMAGE_CONTEXT: Final = "docker-image://"
_MAX_EXTENDS: Final = 10
_MAX_BUILDS: Final = 200
"""Services of one file whose Dockerfiles are read with their arguments."""

_MAX_OTHER: Final = 1 << 20
"""Bytes of a file that others extend."""

_ENV: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*[=:]\s?(.*)")
_TOP: Final = frozenset(
    {
        "version",
        "name",
        "services",
        "networks",
        "volumes",
        "configs",
        "secrets",
        "include",
        "models",
    }
)
_SERVICE_KEYS: Final = frozenset({"image", "build", "extends", "provider"})


def is_compose(root: Node | None) -> bool:
    """Return whether a document is a Compose file by its content alone."""
    if not isinstance(root, Map):
        return False
    services = root.get("services")
    if not isinstance(services, Map) or not services.entries:
        return False
    if any(key not in _TOP and not key.startswith("x-") for key in root.entries):
        return False
    return all(
        isinstance(each, Map) and not _SERVICE_KEYS.isdisjoint(each.entries)
        for each in services.entries.values()
    )


def read_compose(
    path: str, data: bytes, files: Mapping[str, bytes], given: Mapping[str, str] | None = None
) -> Iterator[Declaration]:
    """Yield the rows of a Compose file; `given` are variables that its environment may have."""
    yield from _Compose(path, files, given or {}).rows(data)


def environment(text: str) -> Iterator[tuple[str, str, bool]]:
    """Yield names and values of a `.env` file, and whether variables are replaced in them."""
    for line in text.split("\n")[:10_000]:
        match = _ENV.match(line) if len(line) <= MAX_LENGTH else None
        if match is None:
            continue
        value = match[2].strip()
        quote = value[:1] if value[:1] in {"'", '"'} else ""
        if quote:
            end = value.find(quote, 1)
            yield match[1], value[1:end] if end > 0 else value[1:], quote == '"'
        else:
            yield match[1], re.split(r"\s#", value)[0].strip(), True


class _Compose:
    """One project of Compose: a file and what it refers to."""

    def __init__(self, path: str, files: Mapping[str, bytes], given: Mapping[str, str]) -> None:
        self._path = path
        self._files = files
        self._folder = posixpath.dirname(path)
        self._others: dict[str, Map | None] = {}
        self._builds = 0
        self._values = {
            name: Value(text=text, certainty=Resolution.DEFAULT) for name, text in given.items()
        }
        beside = files.get(posixpath.join(self._folder, ".env"), b"")
        for name, text, expand in environment(decoded(beside)):
            if name in given:
                continue
            value = expand_compose(text, self._values.get).text if expand else text
            if value is not None:
                self._values[name] = Value(text=value, certainty=Resolution.DEFAULT)

    def rows(self, data: bytes) -> Iterator[Declaration]:
        """Yield the rows of a file's text."""
        for each in documents(data, Source(self._path)):
            if each.error is not None:
                yield gap(self._path, each.line, _KIND, f"no YAML: {each.error}")
            elif isinstance(each.root, Map):
                yield from self._included(each.root.get("include"))
                services = each.root.get("services")
                if isinstance(services, Map):
                    for name, service in services.entries.items():
                        if isinstance(service, Map):
                            yield from self._service(name, service, services)

    def _included(self, node: Node | None) -> Iterator[Declaration]:
        """Yield a gap for each file that is included and not at hand; others are read as files."""
        for each in node.items if isinstance(node, Seq) else []:
            found = each.get("path") if isinstance(each, Map) else each
            for path in found.items if isinstance(found, Seq) else [found]:
                if is_text(path) and self._at(path.text) not in self._files:
                    yield gap(self._path, path.line, _KIND, f"include of {path.text}, not at hand")

    def _at(self, path: str) -> str:
        """Return a path in the repository that is written relative to the file."""
        return posixpath.normpath(posixpath.join(self._folder, path))

    def _service(self, name: str, service: Map, services: Map) -> Iterator[Declaration]:
        build = service.get("build")
        image = service.get("image")
        if is_text(image) and image.tag != "!reset":
            note = "the service is built: its image is what the build is named" if build else None
            yield self._image(name, service, image, note)
        elif build is None and service.get("extends") is not None:
            yield from self._extended(name, service, services)
        if build is not None:
            yield from self._built(name, build)

    def _image(self, name: str, service: Map, image: Scalar, note: str | None) -> Declaration:
        text = image.text.strip()
        platform = service.text("platform")
        return declaration(
            Place(
                path=image.source.path,
                line=image.line,
                kind=_KIND,
                name=name,
                role=DeclaredRole.WORKLOAD,
            ),
            text,
            expand_compose(text, self._values.get),
            pull_policy=policies(service.get("pull_policy")),
            platform=expand_compose(platform, self._values.get).text or platform
            if platform
            else None,
            note=note,
        )

    def _extended(self, name: str, service: Map, services: Map) -> Iterator[Declaration]:
        """Yield the image of a service that extends another one, in the same file or a second."""
        at: Map = service
        for _ in range(_MAX_EXTENDS):
            node = at.get("extends")
            file = node.text("file") if isinstance(node, Map) else None
            wanted = node.text("service") if isinstance(node, Map) else None
            wanted = node.text if is_text(node) else wanted
            if file is not None:
                services = self._services(self._at(file)) or Map(None, 1, at.source)
            found = services.get(wanted or "")
            if not isinstance(found, Map):
                what = f"{wanted}{f' of {file}' if file else ''}"
                yield gap(self._path, at.line, _KIND, f"extends {what}: not at hand", name)
                return
            image = found.get("image")
            if is_text(image):
                yield self._image(name, service, image, f"extends {wanted}")
                return
            if found.get("extends") is None:
                return
            at = found

    def _services(self, path: str) -> Map | None:
        """Return the services of another file, read once."""
        if path not in self._others:
            data = self._files.get(path, b"")[:_MAX_OTHER]
            roots = (each.root for each in documents(data, Source(path)))
            services = (each.get("services") for each in roots if isinstance(each, Map))
            self._others[path] = next((each for each in services if isinstance(each, Map)), None)
        return self._others[path]

    def _built(self, name: str, build: Node) -> Iterator[Declaration]:
        """Yield the images of a build that only the Compose file tells."""
        if not isinstance(build, Map):
            return
        contexts = build.get("additional_contexts")
        entries = contexts.entries.values() if isinstance(contexts, Map) else ()
        for each in contexts.items if isinstance(contexts, Seq) else entries:
            if is_text(each) and _IMAGE_CONTEXT in each.text:
                image = each.text.partition(_IMAGE_CONTEXT)[2]
                place = Place(
                    path=self._path,
                    line=each.line,
                    kind=_KIND,
                    name=name,
                    role=DeclaredRole.BUILD,
                )
                yield declaration(place, image, expand_compose(image, self._values.get))
        inline = build.get("dockerfile_inline")
        arguments = self._arguments(build.get("args"))
        if is_text(inline):
            for row in read_dockerfile(
                self._path, inline.text.replace("$$", "$").encode(), arguments=arguments
            ):
                yield replace(
                    row, kind=_KIND, name=name, line=build.line, note="in dockerfile_inline"
                )
        elif arguments:
            yield from self._with_arguments(name, build, arguments)

    def _arguments(self, node: Node | None) -> dict[str, Value]:
        """Return the build arguments whose values are known."""
        found: dict[str, Value] = {}
        if isinstance(node, Map):
            pairs = [(key, each.text) for key, each in node.entries.items() if is_text(each)]
        elif isinstance(node, Seq):
            words = [each.text for each in node.items if is_text(each) and "=" in each.text]
            pairs = [(word.partition("=")[0], word.partition("=")[2]) for word in words]
        else:
            pairs = []
        for key, text in pairs:
            given = expand_compose(text, self._values.get)
            if given.text is not None:
                certainty = weakest(Resolution.RESOLVED, given.resolution)
                found[key] = Value(
                    text=given.text, certainty=certainty, names=frozenset(given.names)
                )
        return found

    def _with_arguments(
        self, name: str, build: Map, arguments: Mapping[str, Value]
    ) -> Iterator[Declaration]:
        """Yield the base images that the arguments decide, beside the Dockerfile's own rows."""
        context = build.text("context") or "."
        path = self._at(posixpath.join(context, build.text("dockerfile") or "Dockerfile"))
        data = self._files.get(path)
        self._builds += 1
        if data is None or self._builds > _MAX_BUILDS:
            return
        for row in read_dockerfile(path, data, arguments=arguments):
            if not arguments.keys().isdisjoint(row.variables):
                note = f"FROM in {path}, line {row.line}, with the service's build arguments"
                yield replace(
                    row, path=self._path, kind=_KIND, name=name, line=build.line, note=note
                )
