"""Chromium for the tests of pages, driven by Playwright."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fervid.export.page import report
from fervid.timeline.peaks import rank
from fervid.types import Timeline

NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 900}
# Pages ask to play, and nothing is played: there is no sound device.
QUIET = """
HTMLMediaElement.prototype.play = () => {
    window.played = (window.played ?? 0) + 1;
    return Promise.resolve();
};
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Open the installed Chromium; skip the test if there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"Chromium is not installed ({', '.join(NAMES)}): apt-get install chromium")
    with sync_playwright() as playwright:
        # Root cannot use the sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """An open page, with its console messages, errors, dialogs and requests."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        self.context = browser.new_context(viewport=options.pop("viewport", DESK), **options)
        self.context.add_init_script(QUIET)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(90_000)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def count(self, selector: str) -> int:
        return self.page.locator(f":is({selector}):visible").count()

    def settle(self) -> None:
        """Wait until changes are drawn."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def ink(self, canvas: str) -> npt.NDArray[np.uint8]:
        """Return the pixels of a canvas, (H, W, 4)."""
        self.settle()
        address = self.page.evaluate("(name) => document.getElementById(name).toDataURL()", canvas)
        return _decoded(base64.b64decode(address.partition(",")[2]), cv2.IMREAD_UNCHANGED)

    def shot(self, selector: str) -> npt.NDArray[np.uint8]:
        """Return a screenshot of an element, (H, W) in grey."""
        return _decoded(self.page.locator(selector).screenshot(), cv2.IMREAD_GRAYSCALE)


def _decoded(picture: bytes, kind: int) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = cv2.imdecode(np.frombuffer(picture, np.uint8), kind)
    return pixels


def page_of(timeline: Timeline, **extras: Any) -> str:
    """Return the report of a timeline."""
    stream = io.StringIO()
    peaks = rank(timeline.peaks, timeline.source.time_base)
    report.write(timeline, stream, report.Extras(peaks, **extras))
    return stream.getvalue()


Open = Callable[..., Opened]


@contextmanager
def pages(browser: Browser, folder: Path) -> Iterator[Open]:
    """Yield a function that writes a report and opens it; at the end, nothing may have gone wrong in it."""
    opened: list[Opened] = []

    def open_one(
        timeline: Timeline, film: str | None = None, extras: dict[str, Any] | None = None, **options: object
    ) -> Opened:
        path = folder / f"page{len(opened)}.html"
        path.write_text(page_of(timeline, film=film, **(extras or {})), encoding="utf-8")
        opened.append(Opened(browser, path, **options))
        return opened[-1]

    yield open_one
    for page in opened:
        page.context.close()
        assert page.complaints == []
        assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []
