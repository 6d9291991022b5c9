"""`logminer extract --explain`: what the extractor saw, line by line, and whether it believed it.

For whoever reports a wording or adds a rule: a line that is missing here was found by no rule.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Final

from logminer.foreign import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.trace import Sighting

HEAD: Final = (
    "   line  stream  section                 rule                   believed       folded into"
)


def explainer(name: str, *, jsonl: bool) -> Callable[[Sighting], None]:
    """Return what prints each sighting of a log as it comes: one JSON object, or two lines."""

    def as_json(sighting: Sighting) -> None:
        print(json.dumps({"file": name, **dataclasses.asdict(sighting)}))

    def as_text(sighting: Sighting) -> None:
        print(_facts(sighting).rstrip())
        print(f"{'':9}{visible(sighting.text)}")

    return as_json if jsonl else as_text


def _facts(sighting: Sighting) -> str:
    """Return where a line stands, what read it and what became of it, under `HEAD`."""
    row = ""
    if sighting.image is not None:
        ordinal = "" if sighting.ordinal is None else f"{sighting.ordinal}. "
        row = f"{ordinal}{sighting.role} {visible(sighting.image)}"
    return (
        f"{sighting.line:7}  {sighting.stream or '-':6}  {sighting.section or '-':22}"
        f"  {sighting.rule:21}  {sighting.verdict:13}  {row}"
    )
