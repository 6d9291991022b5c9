r"""Foreign text made harmless: one function for each surface that it may reach.

Names of jobs, projects, branches and images, and messages, come from servers and logs: whoever can
name a job decides what is written there. On a page, the templates escape what they are given; JSON
escapes whatever is not ASCII; the other surfaces are here.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
"""Bidirectional classes of Unicode that turn the order of a line's neighbours around."""

_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet evaluate a cell, if it stands first (OWASP, "CSV Injection").

The last four are the full-width forms, which some take for the same. Tab, CR and LF, which OWASP
names, too, never stand in a cell of ours.
"""


def visible(text: str, *, ascii_only: bool = False) -> str:
    r"""Return text for a terminal, where it can do nothing but be read.

    Whatever moves the cursor, hides, breaks the line or turns its direction is shown as a
    backslash escape (`\x1b`); with `ascii_only` also whatever lies beyond ASCII.
    """
    return "".join(
        character
        if character.isprintable()
        and unicodedata.bidirectional(character) not in _RIGHT_TO_LEFT
        and (character.isascii() or not ascii_only)
        else _escaped(character)
        for character in text
    )


def cell(text: str) -> str:
    r"""Return text for a cell of a CSV file, which a spreadsheet takes for nothing but text.

    What could be a formula gets a leading apostrophe, which spreadsheets take as "this is text".
    What cannot be printed is shown as a backslash escape (`\n`): such a file is also looked at on a
    terminal, and lines that end within a cell are read differently by every reader.
    """
    if not text.isprintable():
        text = "".join(each if each.isprintable() else _escaped(each) for each in text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def code(text: str) -> str:
    r"""Return text for Markdown, as code: no link, no HTML, and it notifies nobody.

    Neither GitLab nor GitHub looks for mentions in code. The two characters that could end the code
    or a cell of a table are shown as escapes (`\x60`, `\x7c`), like all that `visible` escapes.
    """
    shown = visible(text).replace("|", r"\x7c").replace("`", r"\x60")
    return f"`{shown}`" if shown.strip() else ""


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
