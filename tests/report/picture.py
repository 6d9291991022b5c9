"""Draw the README's picture of the report anew: `python tests/report/picture.py`.

Runs a demo, writes its page and photographs the beginning of it in Chromium.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

from logminer.cli import demo
from logminer.report import Format, report
from logminer.store import open_store

PICTURE = Path(__file__).parents[2] / "notebooks" / "report.png"
TODAY = dt.date(2026, 11, 23)
SIZE = ViewportSize(width=1120, height=1046)


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as directory:
        store, page = Path(directory, "logminer-demo"), Path(directory, "report.html")
        with contextlib.redirect_stdout(io.StringIO()):
            demo.run(store, keep=False, seed=1, today=TODAY)
        now = dt.datetime.combine(TODAY, dt.time(6), dt.UTC)
        with page.open("w", encoding="utf-8") as out:
            report(open_store(store), "last-quarter", format=Format.HTML, out=out, now=now)
        with sync_playwright() as driver:
            chromium = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            tab = chromium.new_page(viewport=SIZE, color_scheme="light")
            tab.goto(page.as_uri())
            tab.screenshot(path=PICTURE)
            chromium.close()


if __name__ == "__main__":
    main()
