"""A real browser for the tests of pages: Chromium where there is one, driven by Playwright."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 900}


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser that is installed; the test is skipped where there is none."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"there is no Chromium here ({', '.join(NAMES)}): apt-get install chromium")
    with sync_playwright() as playwright:
        # As root it runs in no sandbox; what it opens here is our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page, and everything that happened to it."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        self.context = browser.new_context(viewport=options.pop("viewport", DESK), **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
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
        """Wait until what changed is drawn."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def ink(self, canvas: str) -> npt.NDArray[np.uint8]:
        """The pixels of a canvas, (H, W, 4)."""
        self.settle()
        address = self.page.evaluate("(name) => document.getElementById(name).toDataURL()", canvas)
        return _decoded(base64.b64decode(address.partition(",")[2]), cv2.IMREAD_UNCHANGED)

    def shot(self, selector: str) -> npt.NDArray[np.uint8]:
        """What stands on the screen at an element, (H, W) in grey."""
        return _decoded(self.page.locator(selector).screenshot(), cv2.IMREAD_GRAYSCALE)


def _decoded(picture: bytes, kind: int) -> npt.NDArray[np.uint8]:
    found: npt.NDArray[np.uint8] = cv2.imdecode(np.frombuffer(picture, np.uint8), kind)
    return found
