"""What a program makes of an unquoted scalar: `1.10` is a number, and no longer says `1.10`.

Everybody's trap: `tag: 1.10` deploys 1.1.
GitLab reads YAML with Ruby's Psych, Helm with Go's YAML by way of JSON; both know the numbers and
booleans of YAML 1.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from logminer.inventory.nodes import Scalar

_TRUE: Final = frozenset({"yes", "true", "on"})
_FALSE: Final = frozenset({"no", "false", "off"})
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,30})")
_OCTAL: Final = re.compile(r"0[0-7]{1,30}")
_FLOAT: Final = re.compile(r"[-+]?[0-9][0-9_]{0,30}\.[0-9]{0,30}|[-+]?\.[0-9]{1,30}")


def ruby_text(scalar: Scalar) -> str:
    """Return the text that GitLab makes of a scalar."""
    return _text(scalar) or scalar.text


def go_text(scalar: Scalar) -> str:
    """Return the text that Helm makes of a scalar."""
    found = _text(scalar)
    return scalar.text if found is None else found.removesuffix(".0")


def _text(scalar: Scalar) -> str | None:
    """Return the text of a number or boolean; None for what stays as it was written."""
    text = scalar.text
    found = None
    if not scalar.plain or scalar.tag is not None:
        pass
    elif text.lower() in _TRUE:
        found = "true"
    elif text.lower() in _FALSE:
        found = "false"
    elif _OCTAL.fullmatch(text):
        found = str(int(text, 8))
    elif _INTEGER.fullmatch(text):
        found = str(int(text))
    elif _FLOAT.fullmatch(text):
        found = repr(float(text))
    return found
