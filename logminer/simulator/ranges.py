"""Parts of a body: what `Range` asks for, answered as a web server of static files does."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logminer.simulator.answer import Answer

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def ranged(answer: Answer, wanted: str | None) -> Answer:
    """Return the part of the answer that a `Range` header wants.

    The whole where there is no such header or none that is understood (several ranges, too), 416
    where nothing lies there.
    """
    size = len(answer.body)
    whole = replace(answer, headers={**answer.headers, "Accept-Ranges": "bytes"})
    match = _RANGE.fullmatch(wanted or "")
    if match is None or not any(match.groups()):
        return whole
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        headers = {**whole.headers, "Content-Range": f"bytes */{size}"}
        return replace(answer, status=416, body=b"", headers=headers)
    headers = {**whole.headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
    return replace(answer, status=206, body=answer.body[start:end], headers=headers)
