"""Templates, which only their tool renders: the lines that name an image, as they stand.

Go's, Jinja's and other languages around YAML.
A line without an action of the language is an image written out, whatever stands around it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from logminer.inventory.nodes import decoded
from logminer.inventory.rows import Place, declaration, short
from logminer.inventory.variables import MAX_LENGTH, Expanded
from logminer.model import Declaration, DeclaredRole, Resolution
from logminer.reference import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.model import DeclarationKind

TEMPLATE: Final = re.compile(r"\{\{|\{%|<%|\[\[")
"""What begins an action of Go's, Jinja's or another template language."""

_ACTION: Final = re.compile(r"\{\{(.{0,300}?)\}\}")
_TERM: Final = re.compile(r"(?<![\w.\"'])\$?\.?[A-Za-z_][\w.]*")
_IMAGE_LINE: Final = re.compile(
    r"^[ \t]*(?:-[ \t]+)?[\"']?image[\"']?[ \t]*:[ \t]+(?P<image>\S[^\n]{0,1023})$", re.MULTILINE
)
_WORDS: Final = frozenset(
    {
        "and",
        "coalesce",
        "default",
        "dict",
        "else",
        "end",
        "eq",
        "if",
        "include",
        "indent",
        "list",
        "ne",
        "nil",
        "nindent",
        "not",
        "or",
        "printf",
        "quote",
        "range",
        "required",
        "squote",
        "template",
        "ternary",
        "toString",
        "toYaml",
        "tpl",
        "trimSuffix",
        "trunc",
        "with",
    }
)
"""Functions and keywords of templates, which name nothing."""


def read_template(
    path: str, data: bytes, kind: DeclarationKind, *, tool: str | None = None, line: int = 1
) -> Iterator[Declaration]:
    """Yield the images that a template names; its first line is the file's `line`."""
    note = f"only {tool} renders this template" if tool else "stands in a template"
    for number, image in image_lines(decoded(data)):
        place = Place(
            path=path, line=number + line - 1, kind=kind, name=None, role=DeclaredRole.WORKLOAD
        )
        if TEMPLATE.search(image) or "$" in image:
            yield unrendered(place, image, note)
        elif parse(image) is not None:
            expanded = Expanded(text=image, resolution=Resolution.LITERAL, names=())
            yield declaration(place, image, expanded, note="written out in a template")


def unrendered(place: Place, image: str, note: str) -> Declaration:
    """Return the row of an image that stands in a template's language."""
    return Declaration(
        path=place.path,
        line=place.line,
        kind=place.kind,
        name=short(place.name) if place.name is not None else None,
        role=place.role,
        image=short(image, MAX_LENGTH),
        resolved=None,
        resolution=Resolution.UNRENDERED,
        variables=template_names(image),
        note=note,
    )


def template_names(text: str) -> tuple[str, ...]:
    """Return what a template's text depends on: `.Values.image.tag`, `app_version`."""
    found: set[str] = set()
    for action in _ACTION.finditer(text[:MAX_LENGTH]):
        bare = re.sub(r"\"[^\"]*\"|'[^']*'|`[^`]*`", " ", action[1])
        found |= {each for each in _TERM.findall(bare) if each not in _WORDS and each != "."}
    return tuple(sorted(found))


def image_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and value of every `image:` in a text that is no YAML, without its quotes."""
    counted = line = 0
    for match in _IMAGE_LINE.finditer(text):
        line += text.count("\n", counted, match.start("image"))
        counted = match.start("image")
        value = re.sub(r"\s+#.*$", "", match["image"]).strip()
        if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
            value = value[1:-1]
        if value and not value.startswith("#"):
            yield line + 1, value
