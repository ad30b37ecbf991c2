"""Chromium for the tests of pages, driven by Playwright."""

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
