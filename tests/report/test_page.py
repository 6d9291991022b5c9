"""The page in a real browser: it fetches nothing, sorts, answers the pointer, and no name acts.

Needs Chromium (Debian's package `chromium`); without one the tests that open it are skipped.
"""

from __future__ import annotations

import datetime as dt
import io
import shutil
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from logminer.report import Format, Report, build, charts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TypeAlias

    from logminer.analysis import Source

    Opened: TypeAlias = Callable[..., AbstractContextManager[Page]]

MOST_BYTES = 2_000_000
SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
HOSTILE = (
    '"><script>window.acted = 1</script>'
    "</script><script>window.acted = 2</script>"
    "</title></style></svg><img src=x onerror='window.acted = 3'>"
    "<a href='javascript:window.acted = 4'>{{ 7 * 7 }}</a>"
)
"""Each of them would act in another place of the page."""


def rendered(report: Report) -> str:
    """Return a report as HTML."""
    out = io.StringIO()
    Format.HTML.write(report, out)
    return out.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give one Chromium for the whole file."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def written(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the page of the report that is written by hand."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(rendered(report), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser) -> Opened:
    """Give a function that opens a file and is strict: nothing asked for, nothing complained of."""

    @contextmanager
    def opened(path: Path, *, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        yield page
        context.close()
        assert said == []
        assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]

    return opened


class _Tags(HTMLParser):
    """Counts the elements of a page and collects where it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]


def hostile(report: Report, name: str) -> Report:
    """Return a report in which every foreign name is this one, and every address a script."""
    named = dict.fromkeys(
        (
            *("registry", "repository", "error_kind", "runner", "proxy", "tag"),
            *("project_path", "digest", "role"),
        ),
        name,
    ) | {"evidence": f"javascript:alert('{name}')#L1"}
    changed = {
        field: [{key: named.get(key, value) for key, value in row.items()} for row in rows]
        for field in report.__slots__
        if isinstance(rows := getattr(report, field), list)
    }
    return replace(report, **changed)  # type: ignore[arg-type] # only fields that are rows


def test_one_small_file_that_says_everything_itself(written: Path) -> None:
    """Nothing in it comes from elsewhere; links lead to job logs and within the page."""
    text = written.read_text(encoding="utf-8")
    page = _Tags(text)

    assert len(text.encode()) < MOST_BYTES
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert page.handlers == []
    assert "'unsafe-" not in text
    assert {link for link in page.links if not link.startswith("#")} == {
        "data:,",
        "https://gitlab.example.com/a/b/-/jobs/7#L12",
        "https://gitlab.example.com/a/b/-/jobs/8#L13",
        "https://gitlab.example.com/a/b/-/jobs/7#L30",
        "https://gitlab.example.com/shop/checkout/-/jobs/9#L8",
    }


def test_coverage_comes_first(written: Path, opened: Opened) -> None:
    """Before any figure stands for how many jobs the page speaks."""
    with opened(written) as page:
        headings = page.locator("h2").all_inner_texts()
        coverage = page.locator("#coverage").inner_text()

    assert headings[:3] == ["Coverage", "Totals", "Pulls over time"]
    assert "preamble not understood\t12\t0.1%" in coverage
    assert "log missing (404)\t200\t1.6%" in coverage


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_width_in_light_and_dark(written: Path, opened: Opened, scheme: str) -> None:
    """No width makes the page scroll sideways, and the ground is as light as the reader asked."""
    widths = (320, 390, 768, 1280)
    seen = []
    with opened(written, width=widths[0], scheme=scheme) as page:
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth")
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            charts_seen = page.locator("figure svg.marks:visible").count()
            seen.append((width, wide <= width, ground == "rgb(255, 255, 255)", charts_seen))

    assert seen == [(width, True, scheme == "light", 6) for width in widths]


def test_the_reader_may_choose_the_other_theme(written: Path, opened: Opened) -> None:
    """The button turns light to dark and back."""
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(written) as page:
        seen = [page.evaluate(ground)]
        for _ in range(2):
            page.locator("#theme").click()
            seen.append(page.evaluate(ground))

    assert seen == ["rgb(255, 255, 255)", "rgb(15, 20, 25)", "rgb(255, 255, 255)"]


def test_on_paper(written: Path, opened: Opened) -> None:
    """Printed from a dark screen the page is light, unfolded, and has no button on it."""
    with opened(written, scheme="dark") as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        expect(page.locator("#theme")).to_be_hidden()
        expect(page.locator("#over_time td").first).to_be_visible()

    assert ground == "rgb(255, 255, 255)"


def test_columns_sort(written: Path, opened: Opened) -> None:
    """Numbers begin with the largest, names with A; a second click turns the order around."""
    with opened(written) as page:
        section = page.locator("#by_registry")

        def column(at: int) -> list[str]:
            cells = section.locator(f"tbody td:nth-child({at})").all_inner_texts()
            return [cell.strip() for cell in cells]

        def head(name: str) -> None:
            section.get_by_role("button", name=name, exact=True).click()

        head("repositories")
        largest = column(6)
        head("repositories")
        smallest = column(6)
        head("registry")
        names = column(1)

    assert largest == ["38", "1", "1", "0"]
    assert smallest == ["0", "1", "1", "38"]
    assert names == ["(unknown)", "docker.io", "quay.io", "registry.example.com:5000"]


def test_a_chart_answers_the_pointer(written: Path, opened: Opened) -> None:
    """The column under the pointer says its day and its parts; beside the chart nothing is said."""
    with opened(written) as page:
        tip = page.locator("#tip")
        expect(tip).to_be_hidden()
        page.locator("#over_time .wide path[role=graphics-symbol]").first.hover()
        said = tip.inner_text()
        page.locator("h1").hover()
        expect(tip).to_be_hidden()
        page.locator("#hub_pressure .wide path[role=graphics-symbol]").first.hover()
        pressure = tip.inner_text()

    assert said.split("\n") == ["Wed 2026-07-01: 8 pulls", "docker.io 7", "other 1"]
    assert pressure.startswith("big runner #7\nsix hours from Fri 2026-07-10 06:00\npeak of 210")


def test_a_legend_singles_out(written: Path, opened: Opened) -> None:
    """A click on a name leaves its colour, a second one brings the others back."""
    faded = "document.querySelectorAll('#over_time svg.marks [style*=\"0.15\"]').length"
    with opened(written) as page:
        entry = page.locator("#over_time .legend").get_by_role("button", name="docker.io")
        counts = [page.evaluate(faded)]
        for _ in range(2):
            entry.click()
            counts.append(page.evaluate(faded))

    assert counts == [0, 4, 0]  # two other columns, drawn for a screen and for a phone


def test_names_stay_text(report: Report, tmp_path: Path, opened: Opened, written: Path) -> None:
    """Whoever can name a job puts no element, no handler, no script and no link on the page."""
    path = tmp_path / "hostile.html"
    path.write_text(rendered(hostile(report, HOSTILE)), encoding="utf-8")
    benign, evil = (_Tags(file.read_text(encoding="utf-8")) for file in (written, path))
    with opened(path) as page:
        acted = page.evaluate("window.acted")
        shown = page.locator("#by_registry tbody td").first.inner_text()
        page.locator("#failed_pulls .wide path[role=graphics-symbol]").first.hover()
        said = page.locator("#tip").inner_text()

    assert acted is None
    assert shown == HOSTILE
    assert HOSTILE in said
    assert set(evil.tags) <= set(benign.tags)
    assert evil.tags.count("script") == 1
    assert evil.handlers == []
    assert {link for link in evil.links if not link.startswith("#")} == {"data:,"}


def test_the_policy_holds(written: Path, browser: Browser) -> None:
    """Were a name to smuggle in a script or a request, the browser would refuse both."""
    page = browser.new_page()
    page.goto(written.as_uri())
    ran = page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            document.body.append(script);
            return window.ran ?? null;
        }"""
    )
    fetched = page.evaluate("fetch('data:,x').then(() => 'fetched', () => 'refused')")
    page.close()

    assert (ran, fetched) == (None, "refused")


def test_an_empty_store(nothing: Source, tmp_path: Path, opened: Opened) -> None:
    """The page says what is missing and what to do about it, and shows no table of noughts."""
    path = tmp_path / "empty.html"
    path.write_text(rendered(build(nothing, "2026-Q3")), encoding="utf-8")
    with opened(path) as page:
        notes = page.locator(".note").all_inner_texts()
        sections = page.locator("section").count()

    assert notes[0] == "No jobs were harvested for 2026-07-01 to 2026-09-30."
    assert "logminer harvest --since 2026-07-01" in notes[1]
    assert sections == 0


@pytest.mark.parametrize(
    "period",
    ["2026-07-30", pytest.param("2017-01-01..2027-01-01", marks=pytest.mark.slow)],
)
def test_a_day_and_ten_years(period: str, store: Source, tmp_path: Path, opened: Opened) -> None:
    """Both have a page with charts."""
    path = tmp_path / "page.html"
    path.write_text(rendered(build(store, period)), encoding="utf-8")
    with opened(path, width=390) as page:
        columns = page.locator("#over_time .narrow path[role=graphics-symbol]").count()
        wide = page.evaluate("document.documentElement.scrollWidth")

    assert columns >= 1
    assert wide <= 390


def test_every_chart_of_an_empty_frame(report: Report) -> None:
    """A chart of nothing is a chart."""
    for draw, rows in (
        (charts.pulls_over_time, report.pulls_by_registry),
        (charts.failures_over_time, report.failed_by_kind),
        (charts.top_repositories, report.top_repositories),
        (charts.proxy_bypass, report.proxy_bypass),
        (charts.hub_pressure, report.hub_pressure),
        (charts.drift, report.drift),
    ):
        assert charts.picture(draw(pd.DataFrame(rows).head(0))).startswith("<svg")
        assert charts.picture(draw([])).startswith("<svg")


QUARTER = (dt.datetime(2026, 7, 1, tzinfo=dt.UTC), dt.datetime(2026, 10, 1, tzinfo=dt.UTC))


def reach(chart: charts.Chart) -> list[dt.datetime]:
    """Return the ends of a chart's axis of time."""
    layers = chart.to_dict(validate=False)["layer"]
    scales = [layer["encoding"].get("x", {}).get("scale", {}) for layer in layers]
    (domain,) = {tuple(scale["domain"]) for scale in scales if scale.get("type") == "utc"}
    return [dt.datetime.fromtimestamp(each / 1000, dt.UTC) for each in domain]


@pytest.mark.parametrize(
    ("by", "first", "last"), [("day", (7, 1), 1), ("week", (6, 29), 5), ("month", (7, 1), 1)]
)
def test_time_reaches_over_the_whole_period(
    by: charts.Bucket, first: tuple[int, int], last: int, report: Report
) -> None:
    """What was not harvested, or not seen to fail, is an empty place and not a shorter axis."""
    ends = [dt.datetime(2026, *first, tzinfo=dt.UTC), dt.datetime(2026, 10, last, tzinfo=dt.UTC)]
    few = report.failed_by_kind[:1]

    for draw in (charts.failures_over_time, charts.pulls_over_time):
        rows = [row | {"pulls": 1, "start": dt.datetime(2026, 8, 1, tzinfo=dt.UTC)} for row in few]
        assert reach(draw(rows, split="error_kind", by=by, span=QUARTER)) == ends
    assert reach(charts.hub_pressure(report.hub_pressure, span=QUARTER)) == list(QUARTER)
    assert reach(charts.drift(report.drift, span=QUARTER)) == list(QUARTER)


def test_without_a_period_time_is_as_long_as_the_data(report: Report) -> None:
    """In a notebook a frame is all that there is."""
    (row, *_) = report.failed_by_kind
    day = row["start"]

    assert reach(charts.failures_over_time([row], by="day")) == [day, day + dt.timedelta(days=1)]
