"""Paging, as GitLab's API does it: by offset with `Link` and `X-Next-Page`, or by keyset.

Pure: a query and a sequence in, the items of one page and its headers out. A server may also page
wrongly; the ways are those of `Behaviour.pages`.
"""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from logminer.simulator.behaviour import Paging

T = TypeVar("T")

_DEFAULT_SIZE = 20
_LARGEST_SIZE = 100
_REPEATED = 3
"""Rows of the page before that an overlapping page begins with."""


class BadQueryError(Exception):
    """A query GitLab refuses; `status` is the HTTP status, the message its `error`."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Cap:
    """How deep offset paging reaches."""

    rows: int
    objects: str
    """What the rows are, as GitLab calls it: `Ci::Build`, `Project`."""

    @property
    def complaint(self) -> str:
        """What GitLab says beyond it."""
        return (
            f"Offset pagination has a maximum allowed offset of {self.rows} for requests that "
            f"return objects of type {self.objects}. Remaining records can be retrieved using "
            "keyset pagination."
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page and the headers that lead to its neighbours."""

    items: Sequence[T]
    headers: dict[str, str] = field(default_factory=dict)


def by_offset(
    items: Sequence[T],
    query: Mapping[str, str],
    link: Callable[[str], str],
    paging: Paging = "honest",
    cap: Cap | None = None,
) -> Page[T]:
    """Return the page `page` of `per_page` items, without totals.

    `link` makes a full URL of a query string. BadQueryError beyond the cap.
    """
    number, size = _positive(query, "page", 1), page_size(query)
    if cap is not None and number * size > cap.rows:
        raise BadQueryError(cap.complaint, status=405)
    step = size - _REPEATED if paging == "overlap" and size > _REPEATED else size
    last = max(1, -(-(len(items) - size + step) // step))
    start = (min(number, last) if paging == "endless" else number) * step - step
    following = number + 1 if number < last or paging == "endless" else None
    if paging == "loop" and following is None:
        following = 1
    headers = {"X-Page": str(number), "X-Per-Page": str(size), "X-Next-Page": "", "X-Prev-Page": ""}
    links = {}
    if number > 1:
        headers["X-Prev-Page"] = str(number - 1)
        links["prev"] = number - 1
    if following is not None:
        headers["X-Next-Page"] = str(following)
        links["next"] = following
    links["first"] = 1
    headers["Link"] = ", ".join(
        f'<{link(_with(query, page=str(page), per_page=str(size)))}>; rel="{name}"'
        for name, page in links.items()
    )
    return Page(items[start : start + size], headers)


def by_cursor(
    items: Sequence[T],
    key: Callable[[T], int],
    query: Mapping[str, str],
    link: Callable[[str], str],
    paging: Paging = "honest",
) -> Page[T]:
    """Return a keyset page of `items` (ascending by `key`), newest first, with an opaque cursor."""
    size = page_size(query)
    end, turn = len(items), 0
    if query.get("cursor"):
        before, turn = _decode(query["cursor"])
        end = bisect_left(items, before, key=key)
    start = max(0, end - size)
    page = list(reversed(items[start:end]))
    cursor = None
    if start > 0:
        repeated = _REPEATED if paging == "overlap" and size > _REPEATED else 0
        cursor = _encode(key(page[-1 - repeated]))
    elif items and paging == "endless":
        cursor = _encode(key(items[end - 1]) + 1, turn + 1)
    elif items and paging == "loop":
        cursor = _encode(key(items[-1]) + 1)
    headers = {}
    if cursor is not None:
        headers["X-Next-Cursor"] = cursor
        headers["Link"] = f'<{link(_with(query, cursor=cursor))}>; rel="next"'
    return Page(page, headers)


def by_id(
    items: Sequence[T],
    key: Callable[[T], int],
    query: Mapping[str, str],
    link: Callable[[str], str],
    paging: Paging = "honest",
) -> Page[T]:
    """Return a keyset page of `items` (ascending by `key`) bounded by `id_after` or `id_before`."""
    size = page_size(query)
    start, end = 0, len(items)
    if "id_after" in query:
        start = bisect_left(items, _positive(query, "id_after", 0) + 1, key=key)
    if "id_before" in query:
        end = bisect_left(items, _positive(query, "id_before", 0), key=key)
    ascending = query.get("sort") == "asc"
    chosen = items[start:end] if ascending else list(reversed(items[start:end]))
    page = chosen[:size]
    name, step = ("id_after", -1) if ascending else ("id_before", 1)
    following = None
    if len(chosen) > size:
        repeated = _REPEATED if paging == "overlap" and size > _REPEATED else 0
        following = {name: str(key(page[-1 - repeated]))}
    elif page and paging == "endless":
        turn = _positive(query, "turn", 0) + 1
        following = {name: str(key(page[0]) + step), "turn": str(turn)}
    elif page and paging == "loop":
        following = {name: str(key(items[0] if ascending else items[-1]) + step)}
    headers = {}
    if following is not None:
        headers["Link"] = f'<{link(_with(query, **following))}>; rel="next"'
    return Page(page, headers)


def page_size(query: Mapping[str, str]) -> int:
    """Return `per_page`, at most 100."""
    return min(_positive(query, "per_page", _DEFAULT_SIZE), _LARGEST_SIZE)


def _positive(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise BadQueryError(f"{name} is invalid")
    return max(int(text), 1 if name in {"page", "per_page"} else 0)


def _with(query: Mapping[str, str], **changes: str) -> str:
    """Return the query string with changes; repeated parameters stay repeated."""
    pairs = [(name, value) for name, value in query.items() if name not in changes]
    return urlencode(pairs + list(changes.items()))


def _encode(number: int, turn: int = 0) -> str:
    """Return a cursor; `turn` tells apart cursors of an endless list that lead to the same page."""
    value: dict[str, object] = {"id": str(number), "_kd": "n"}
    if turn:
        value["turn"] = turn
    text = json.dumps(value, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _decode(cursor: str) -> tuple[int, int]:
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor))
        return int(value["id"]), int(value.get("turn", 0))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as problem:
        raise BadQueryError("cursor is invalid") from problem
