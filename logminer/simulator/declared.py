"""The truth about a repository: which image each line declares, known before it is written.

Whoever writes a file plants what the line says beside the line, as the narrators of traces do.
The words are those of the `declared` table.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One image that a file names in one place, or a gap where images may be named."""

    path: str
    line: int | None
    """From 1; None where the server merged it from elsewhere."""
    kind: str
    name: str | None
    role: str | None
    image: str | None
    """As written."""
    resolved: str | None
    resolution: str
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How a file writes an image, and what that means."""

    text: str
    resolved: str | None
    resolution: str = "literal"
    variables: tuple[str, ...] = ()

    def by_default(self) -> Spelling:
        """Return it as something that whoever installs or builds may override."""
        return replace(self, resolution="default")


def literal(text: str) -> Spelling:
    """Return an image that is written out."""
    return Spelling(text=text, resolved=text)


@dataclass(slots=True)
class Sheet:
    """A text file in the making, and what its lines declare."""

    path: str
    kind: str
    lines: list[str] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        """Write lines that declare nothing."""
        self.lines += lines

    def declare(
        self, template: str, image: Spelling, *, name: str | None, role: str | None
    ) -> None:
        """Write a line with the image in the place of `{}`."""
        self.lines.append(template.replace("{}", image.text))
        self.also(image, name=name, role=role)

    def also(
        self, image: Spelling, *, name: str | None, role: str | None, line: int | None = None
    ) -> None:
        """Plant something that the last line, or another one, declares."""
        self.declared.append(
            Declared(
                path=self.path,
                line=len(self.lines) if line is None else line,
                kind=self.kind,
                name=name,
                role=role,
                image=image.text,
                resolved=image.resolved,
                resolution=image.resolution,
                variables=image.variables,
            )
        )

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return ("\n".join(self.lines) + "\n").encode()
