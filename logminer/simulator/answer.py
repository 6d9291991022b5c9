"""An answer before it goes onto the wire: status, headers and body, however the wire treats it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logminer.simulator.bulk import Body

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server wants to say."""

    status: int = 200
    kind: str = TEXT
    """The content type."""
    body: Body = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    """Whether the length is not told beforehand."""


def as_json(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer whose body is that object."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Answer(status=status, kind=JSON, body=text.encode(), headers=dict(headers or {}))


def as_text(text: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer of plain text."""
    return Answer(status=status, body=text.encode(), headers=dict(headers or {}))
