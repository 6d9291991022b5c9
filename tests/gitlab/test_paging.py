"""Paging through a project's jobs: by cursor, by number, and against servers that go wrong."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from logminer.errors import OffsetLimitError, UnexpectedAnswerError
from logminer.gitlab.paging import Place
from logminer.model import Project

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.gitlab import Client

PROJECT = Project(id=5, path="g/p")
PATH = "/api/v4/projects/5/jobs"


def row(number: int) -> dict[str, Any]:
    """Return a job's JSON."""
    created = "2026-09-01T10:00:00.000Z"
    return {"id": number, "name": "n", "stage": "s", "status": "success", "created_at": created}


def answer(ids: list[int], following: str | None) -> web.Response:
    """Return a page of jobs; `following` is the query of the next one."""
    link = {"Link": f'<http://h{PATH}?{following}>; rel="next"'} if following else {}
    return web.json_response([row(number) for number in ids], headers=link)


class Numbered:
    """A server older than 15.9: it overlooks what it does not know, and pages by number."""

    def __init__(self, ids: list[int], *, cap: int = 50_000, keyset_is: int = 200) -> None:
        """List these jobs, newest first; refuse to go below `cap` rows."""
        self.ids = ids
        self.cap = cap
        self.keyset_is = keyset_is
        self.between: Callable[[], object] = lambda: None
        self.asked: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer a page, then let `between` change what there is."""
        query = request.rel_url.query
        self.asked.append(request.rel_url.query_string)
        size, page = int(query["per_page"]), int(query.get("page", "1"))
        if size * page > self.cap or ("pagination" in query and self.keyset_is != 200):
            return web.json_response({"error": "no"}, status=405)
        begin = (page - 1) * size
        more = len(self.ids) > begin + size
        found = answer(
            self.ids[begin : begin + size],
            f"page={page + 1}&per_page={size}&pagination=keyset" if more else None,
        )
        self.between()
        return found


async def pages(client: Client, cursor: str | None = None) -> list[list[int]]:
    """Return the ids of every page."""
    found = []
    while True:
        page = await client.jobs_page(PROJECT, cursor=cursor)
        found.append([job.id for job in page.jobs])
        cursor = page.next_cursor
        if cursor is None:
            return found


def flat(found: list[list[int]]) -> list[int]:
    """Return the ids of all pages in one list."""
    return [number for page in found for number in page]


class TestPlace:
    """`Place`, pure."""

    @given(st.integers(1, 200_000))
    def test_window(self, index: int) -> None:
        """A numbered page holds the row above the place, and at least 49 more below it."""
        number, size = Place(index=index).window

        assert size <= 100
        assert (number - 1) * size <= index - 1
        assert number * size - index >= 49

    @given(
        st.builds(Place, cursor=st.text(min_size=1), last=st.none() | st.integers(1))
        | st.builds(
            Place,
            index=st.integers(1),
            last=st.none() | st.integers(1),
            low=st.none() | st.integers(1),
            idle=st.integers(0),
        )
    )
    def test_text(self, place: Place) -> None:
        """A place is the same after it was a text."""
        assert Place.parse(str(place)) == place

    def test_bare_cursor(self) -> None:
        """A server's cursor as older ledgers kept it is still a place."""
        assert Place.parse("eyJpZCI6IjgifQ==") == Place(cursor="eyJpZCI6IjgifQ==")


class TestNumbered:
    """Servers without keyset paging."""

    def test_all(self, run: Callable[..., Any], by_hand: Callable[..., None]) -> None:
        """Every job comes once, newest first, in little more requests than there are pages."""
        server = Numbered(list(range(2_000, 0, -1)))
        by_hand(server)

        found = flat(run(pages))

        assert found == list(range(2_000, 0, -1))
        assert len(server.asked) <= 25

    @pytest.mark.parametrize("seed", range(4))
    def test_changing_list(
        self, run: Callable[..., Any], by_hand: Callable[..., None], seed: int
    ) -> None:
        """Jobs that come and go meanwhile cost no other job, and none comes twice."""
        dice = random.Random(seed)  # noqa: S311 -- a test's dice
        server = Numbered(list(range(1_500, 0, -1)))
        kept = set(server.ids)

        def change() -> None:
            top = server.ids[0] if server.ids else 1_500
            gone = set(dice.sample(server.ids, min(len(server.ids), dice.choice([0, 1, 30, 150]))))
            kept.difference_update(gone)
            new = list(range(top + dice.choice([0, 1, 40, 120]), top, -1))
            server.ids = new + [number for number in server.ids if number not in gone]

        server.between = change
        by_hand(server)

        found = flat(run(pages))

        assert kept <= set(found)
        assert len(found) == len(set(found))

    def test_goes_on_in_a_later_run(
        self, run: Callable[..., Any], by_hand: Callable[..., None]
    ) -> None:
        """A place outlives the client, and a thousand jobs that came on top since."""
        server = Numbered(list(range(500, 0, -1)))
        by_hand(server)

        async def first(client: Client) -> str | None:
            return (await client.jobs_page(PROJECT)).next_cursor

        cursor = run(first)
        server.ids = list(range(1_500, 0, -1))

        assert flat(run(lambda client: pages(client, cursor))) == list(range(400, 0, -1))

    def test_cap(self, run: Callable[..., Any], by_hand: Callable[..., None]) -> None:
        """Where the server stops is said, with how far it came and what to do."""
        by_hand(Numbered(list(range(1_000, 0, -1)), cap=400))
        seen: list[int] = []

        async def use(client: Client) -> None:
            cursor = None
            while True:
                page = await client.jobs_page(PROJECT, cursor=cursor)
                seen.extend(job.id for job in page.jobs)
                cursor = page.next_cursor

        with pytest.raises(OffsetLimitError, match="--since") as caught:
            run(use)

        assert caught.value.listed == len(seen)
        assert seen == list(range(1_000, 1_000 - len(seen), -1))
        assert 300 <= len(seen) <= 400

    def test_keyset_refused(self, run: Callable[..., Any], by_hand: Callable[..., None]) -> None:
        """A server that refuses keyset paging is asked for numbers, once and for all."""
        server = Numbered([3, 2, 1], keyset_is=405)
        by_hand(server)

        async def twice(client: Client) -> list[list[int]]:
            return [flat(await pages(client)), flat(await pages(client))]

        assert run(twice) == [[3, 2, 1], [3, 2, 1]]
        assert [("pagination" in query) for query in server.asked] == [True, False, False]

    @pytest.mark.parametrize(
        "lists",
        [
            pytest.param([[3, 2, 1]], id="one page again and again"),
            pytest.param([[300, 299], [200, 199], [100, 99]], id="round in a circle"),
            pytest.param([[3, 2, 1], []], id="empty pages"),
        ],
    )
    def test_pages_that_lead_nowhere(
        self, run: Callable[..., Any], by_hand: Callable[..., None], lists: list[list[int]]
    ) -> None:
        """Pages that always have a next come to an end, and soon."""
        asked = []

        async def same(request: web.BaseRequest) -> web.StreamResponse:
            asked.append(request.rel_url)
            return answer(lists[(len(asked) - 1) % len(lists)], "page=2")

        by_hand(same)

        with pytest.raises(UnexpectedAnswerError, match=r"lead nowhere|empty page"):
            run(pages)
        assert len(asked) <= 40


class TestKeyset:
    """Servers with cursors, and what may be wrong with them."""

    @pytest.mark.parametrize(
        "lists",
        [
            pytest.param({"": ([9, 8], "a"), "a": ([7, 6], "a")}, id="a page leads to itself"),
            pytest.param({"": ([9, 8], "a"), "a": ([7], "b"), "b": ([9, 8], "a")}, id="a circle"),
            pytest.param({"": ([9, 8], "a"), "a": ([9, 8], "b")}, id="the same under another name"),
            pytest.param({"": ([9, 8], "a"), "a": ([], "b")}, id="empty, with a next"),
            pytest.param({"": ([8, 9], None)}, id="oldest first"),
        ],
    )
    def test_no_list(
        self,
        run: Callable[..., Any],
        by_hand: Callable[..., None],
        lists: dict[str, tuple[list[int], str | None]],
    ) -> None:
        """Pages whose ids do not fall are no list of jobs."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            ids, following = lists[request.rel_url.query.get("cursor", "")]
            return answer(ids, following and f"cursor={following}")

        by_hand(handle)

        with pytest.raises(UnexpectedAnswerError):
            run(pages)

    def test_repeated_rows(self, run: Callable[..., Any], by_hand: Callable[..., None]) -> None:
        """Rows that a page repeats, of itself or of the one before, come once."""
        lists = {"": ([9, 9, 8], "a"), "a": ([9, 8, 7, 6], "b"), "b": ([6], None)}

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            ids, following = lists[request.rel_url.query.get("cursor", "")]
            return answer(ids, following and f"cursor={following}")

        by_hand(handle)

        assert run(pages) == [[9, 8], [7, 6], []]

    def test_unreadable_rows_keep_the_order(
        self, run: Callable[..., Any], by_hand: Callable[..., None]
    ) -> None:
        """A row that cannot be understood moves the list on, too, and is counted once."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if "cursor" in request.rel_url.query:
                rows, link = [{"id": 8}, row(7)], {}
            else:
                rows, link = [{"id": 9}, {"id": 8}], {"Link": '<http://h/?cursor=a>; rel="next"'}
            return web.Response(
                text=json.dumps(rows), content_type="application/json", headers=link
            )

        by_hand(handle)

        async def use(client: Client) -> tuple[list[int], int]:
            return flat(await pages(client)), client.counts.skipped_jobs

        assert run(use) == ([7], 2)
