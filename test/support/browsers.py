"""A real headless Chromium for tests of pages; they skip where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip


class Tab:
    """A page in the browser, and everything it complained about or asked the network for.

    Attributes:
        page: Of Playwright.
        complaints: Messages of the console and exceptions.
        requests: What was fetched beside the file itself and embedded data.
    """

    def __init__(self, page: Any, path: Path) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        address = path.as_uri()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note)
        self._address = address
        page.goto(address)

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("data:", "blob:")) and request.url.split("#")[0] != self._address:
            self.requests.append(request.url)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed; pip install 'msdepth_ros[test]'"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine to open the page in; apt install chromium")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()
