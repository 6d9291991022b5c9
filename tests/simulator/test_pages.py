"""Paging, on plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from logminer.simulator.pages import BadQueryError, by_cursor, by_id, by_offset, page_size

if TYPE_CHECKING:
    from logminer.simulator.behaviour import Paging

_ITEMS = [3, 5, 8, 13, 21, 34, 55]


def _link(query: str) -> str:
    return f"http://h/p?{query}"


def _query(link: str) -> dict[str, str]:
    url = link.partition("<")[2].partition(">")[0]
    return dict(pair.split("=") for pair in url.partition("?")[2].split("&"))


def test_keyset_covers_everything_once() -> None:
    """Following the cursor gives every item once, newest first."""
    query = {"per_page": "3", "pagination": "keyset"}
    seen: list[int] = []
    while True:
        page = by_cursor(_ITEMS, int, query, _link)
        seen += page.items
        if "Link" not in page.headers:
            break
        query = {
            name: value.replace("%3D", "=") for name, value in _query(page.headers["Link"]).items()
        }

    assert seen == [55, 34, 21, 13, 8, 5, 3]


def test_keyset_survives_new_items() -> None:
    """An item that arrives while somebody pages neither shifts nor repeats the others."""
    first = by_cursor(_ITEMS, int, {"per_page": "3"}, _link)
    second = by_cursor(
        [*_ITEMS, 89], int, {"per_page": "3", "cursor": first.headers["X-Next-Cursor"]}, _link
    )

    assert second.items == [13, 8, 5]


@pytest.mark.parametrize(
    ("query", "items", "following"),
    [
        ({"sort": "asc", "per_page": "2"}, [3, 5], ("id_after", "5")),
        ({"sort": "asc", "per_page": "2", "id_after": "34"}, [55], None),
        ({"sort": "desc", "per_page": "2", "id_before": "13"}, [8, 5], ("id_before", "5")),
    ],
)
def test_by_id(query: dict[str, str], items: list[int], following: tuple[str, str] | None) -> None:
    """Projects page by `id_after` upward and by `id_before` downward."""
    page = by_id(_ITEMS, int, query, _link)

    assert page.items == items
    if following is None:
        assert "Link" not in page.headers
    else:
        assert _query(page.headers["Link"])[following[0]] == following[1]


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("paging", ["overlap", "endless", "loop"])
def test_by_id_misleads(sort: str, paging: Paging) -> None:
    """Pages by id may overlap, go on for ever, or begin again."""
    query, seen, links = {"sort": sort, "per_page": "5"}, [], []
    for _ in range(6):
        page = by_id(_ITEMS, int, query, _link, paging)
        seen.append(list(page.items))
        if "Link" not in page.headers:
            break
        links.append(page.headers["Link"])
        query = _query(page.headers["Link"])
    ordered = _ITEMS if sort == "asc" else _ITEMS[::-1]

    assert seen[0] == ordered[:5]
    if paging == "overlap":
        assert seen == [ordered[:5], ordered[2:]]
    elif paging == "endless":
        assert seen[1:] == [ordered[5:]] * 5
        assert len(set(links)) == 6
    else:
        assert seen == [ordered[:5], ordered[5:]] * 3
        assert len(set(links)) == 2


def test_offset() -> None:
    """Offset pages name their neighbours and never a total."""
    page = by_offset(_ITEMS, {"page": "2", "per_page": "3"}, _link)

    assert page.items == [13, 21, 34]
    assert page.headers == {
        "X-Page": "2",
        "X-Per-Page": "3",
        "X-Next-Page": "3",
        "X-Prev-Page": "1",
        "Link": '<http://h/p?page=1&per_page=3>; rel="prev", '
        '<http://h/p?page=3&per_page=3>; rel="next", <http://h/p?page=1&per_page=3>; rel="first"',
    }


def test_page_size_has_a_ceiling() -> None:
    """A page has 20 items by default and at most 100."""
    assert [page_size(query) for query in ({}, {"per_page": "7"}, {"per_page": "5000"})] == [
        20,
        7,
        100,
    ]


@pytest.mark.parametrize("query", [{"page": "x"}, {"per_page": "-1"}, {"page": "²"}])
def test_bad_numbers(query: dict[str, str]) -> None:
    """What is not a number is refused."""
    with pytest.raises(BadQueryError):
        by_offset(_ITEMS, query, _link)


@pytest.mark.parametrize("cursor", ["x", "e30=", "bnVsbA=="])
def test_bad_cursor(cursor: str) -> None:
    """A cursor that was not given out is refused."""
    with pytest.raises(BadQueryError):
        by_cursor(_ITEMS, int, {"cursor": cursor}, _link)
