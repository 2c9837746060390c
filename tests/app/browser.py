"""A headless Chromium, and the naming page in a thread of this process."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sgseg.app import Naming

GET_IT = (
    "needs Chromium and its driver (Debian: apt-get install chromium chromium-driver) and, in the "
    "environment, gradio and selenium (make setup)"
)
PATIENCE = 30.0
"""Seconds that a sign of life may take on a busy machine; it is awaited, not measured."""


def demand_browser() -> None:
    """Skip the test, and say how to get what is missing."""
    for module in ("gradio", "selenium"):
        pytest.importorskip(module, reason=GET_IT)
    programs = [shutil.which("chromium") or shutil.which("chromium-browser")]
    programs.append(shutil.which("chromedriver"))
    if None in programs:
        pytest.skip(GET_IT)


@contextmanager
def browser() -> Iterator[Any]:
    """A window of 1400 x 1000."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium") or shutil.which("chromium-browser"))
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
        *("--window-size=1400,1000", "--disable-background-networking"),
    ):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def served(naming: Naming, names_file: Path) -> str:
    """The address of the page, which is served until this process ends."""
    from sgseg.app.server import serve

    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    told: list[str] = []
    ready = threading.Event()

    def opened(address: str) -> None:
        told.append(address)
        ready.set()

    arguments = (naming, names_file, sock, opened)
    threading.Thread(target=serve, args=arguments, daemon=True).start()
    assert ready.wait(2 * PATIENCE), "the page did not start"
    return told[0]


class Tab:
    """What a person sees and does in a tab.

    Args:
        driver: of the browser.
        address: of the page; it is opened.
    """

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        driver.get(address)
        self.handle = driver.current_window_handle
        self.until(lambda: "%" in self.text("#head-0"))

    def one(self, selector: str) -> Any:
        """The element."""
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """What stands there."""
        return self.one(selector).text

    def name(self, slot: int) -> str:
        """What the box of a row holds."""
        return self.one(f"#name-{slot} input, #name-{slot} textarea").get_attribute("value")

    def write(self, slot: int, name: str, leave: bool = False) -> None:
        """Type another name and press Enter, or leave the box."""
        from selenium.webdriver.common.keys import Keys

        box = self.one(f"#name-{slot} input, #name-{slot} textarea")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(Keys.BACKSPACE + name + (Keys.TAB if leave else Keys.ENTER))

    def click(self, selector: str) -> None:
        """Click on the element."""
        self.one(selector).click()

    def click_pixel(self, selector: str, across: float, down: float) -> None:
        """Click on an image, at parts of its width and height."""
        from selenium.webdriver.common.action_chains import ActionChains

        image = self.one(f"{selector} img")
        width, height = image.size["width"], image.size["height"]
        place = round((across - 0.5) * width), round((down - 0.5) * height)
        ActionChains(self.driver).move_to_element_with_offset(image, *place).click().perform()

    def pixels(self, selector: str) -> Any:
        """The image that is shown: (h, w, 3)."""
        import base64
        import io

        import numpy as np
        from PIL import Image

        script = (
            "const i = document.querySelector(arguments[0] + ' img');"
            "const c = document.createElement('canvas');"
            "c.width = i.naturalWidth; c.height = i.naturalHeight;"
            "c.getContext('2d').drawImage(i, 0, 0); return c.toDataURL('image/png')"
        )
        coded = self.driver.execute_script(script, selector).split(",")[1]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(coded))).convert("RGB"))

    def until(self, holds: Callable[[], Any]) -> None:
        """Wait for what has to come."""
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(self.driver, PATIENCE, 0.1, [WebDriverException])
        waiting.until(lambda _: holds(), f"the page shows {self.text('body')[:600]}")
