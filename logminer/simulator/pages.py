"""Paging, as GitLab's API does it: by offset with `Link` and `X-Next-Page`, or by keyset.

Pure: a query and a sequence in, the items of one page and its headers out.
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

T = TypeVar("T")

_DEFAULT_SIZE = 20
_LARGEST_SIZE = 100


class BadQueryError(Exception):
    """A query GitLab refuses; `status` is the HTTP status, the message its `error`."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page and the headers that lead to its neighbours."""

    items: Sequence[T]
    headers: dict[str, str] = field(default_factory=dict)


def by_offset(items: Sequence[T], query: Mapping[str, str], link: Callable[[str], str]) -> Page[T]:
    """Return the page `page` of `per_page` items, without totals.

    `link` makes a full URL of a query string.
    """
    number, size = _positive(query, "page", 1), page_size(query)
    start = (number - 1) * size
    headers = {"X-Page": str(number), "X-Per-Page": str(size), "X-Next-Page": "", "X-Prev-Page": ""}
    links = {}
    if number > 1:
        headers["X-Prev-Page"] = str(number - 1)
        links["prev"] = number - 1
    if start + size < len(items):
        headers["X-Next-Page"] = str(number + 1)
        links["next"] = number + 1
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
) -> Page[T]:
    """Return a keyset page of `items` (ascending by `key`), newest first, with an opaque cursor."""
    size = page_size(query)
    end = len(items)
    if query.get("cursor"):
        end = bisect_left(items, _decode(query["cursor"]), key=key)
    start = max(0, end - size)
    page = list(reversed(items[start:end]))
    headers = {}
    if start > 0:
        cursor = _encode(key(page[-1]))
        headers["X-Next-Cursor"] = cursor
        headers["Link"] = f'<{link(_with(query, cursor=cursor))}>; rel="next"'
    return Page(page, headers)


def by_id(
    items: Sequence[T],
    key: Callable[[T], int],
    query: Mapping[str, str],
    link: Callable[[str], str],
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
    page, more = chosen[:size], len(chosen) > size
    headers = {}
    if more:
        bound = {"id_after" if ascending else "id_before": str(key(page[-1]))}
        headers["Link"] = f'<{link(_with(query, **bound))}>; rel="next"'
    return Page(page, headers)


def page_size(query: Mapping[str, str]) -> int:
    """Return `per_page`, at most 100."""
    return min(_positive(query, "per_page", _DEFAULT_SIZE), _LARGEST_SIZE)


def _positive(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise BadQueryError(f"{name} is invalid")
    return max(int(text), 0 if name.startswith("id_") else 1)


def _with(query: Mapping[str, str], **changes: str) -> str:
    """Return the query string with changes; repeated parameters stay repeated."""
    pairs = [(name, value) for name, value in query.items() if name not in changes]
    return urlencode(pairs + list(changes.items()))


def _encode(number: int) -> str:
    text = json.dumps({"id": str(number), "_kd": "n"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _decode(cursor: str) -> int:
    try:
        return int(json.loads(base64.urlsafe_b64decode(cursor))["id"])
    except (ValueError, KeyError, TypeError, binascii.Error) as problem:
        raise BadQueryError("cursor is invalid") from problem
