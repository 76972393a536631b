"""A browser that tests drive: Chromium as the distribution has it, with its own driver; nothing is downloaded."""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

MISSING = "no Chromium: apt-get install chromium chromium-driver"


class Browser:
    """A page in Chromium.

    Args:
        downloads: the folder that files are saved to.
    """

    def __init__(self, downloads: Path) -> None:
        found = shutil.which("chromium"), shutil.which("chromedriver")
        if None in found:
            (pytest.fail if os.environ.get("QUICKSTUDY_REQUIRE_BROWSER") else pytest.skip)(MISSING)
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = found[0]
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(found[1]))
        self.downloads = downloads
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def cdp(self, command: str, **options: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, options)

    def open(self, url: str, width: int = 1200, *, dark: bool = False) -> None:
        """A page of so many pixels across, as if it were opened for the first time."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme])
        self.driver.get(url)
        self.script("sessionStorage.clear()")
        self.errors()
        self.driver.get(url)
        self.wait("document.body.dataset.ready")

    def script(self, script: str, *given: Any) -> Any:
        return self.driver.execute_script(script, *given)

    def wait(self, condition: str, seconds: float = 120) -> Any:
        """Until an expression of JavaScript is true: its value."""
        end = time.monotonic() + seconds
        while not (found := self.script(f"return {condition}")):
            assert time.monotonic() < end, f"{condition} did not come true: {self.errors()}"
            time.sleep(0.02)
        return found

    def find(self, css: str) -> Any:
        from selenium.webdriver.common.by import By

        return self.driver.find_element(By.CSS_SELECTOR, css)

    def click(self, css: str) -> None:
        self.script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", self.find(css))
        self.find(css).click()

    def draw(self, css: str, strokes: Sequence[Any]) -> None:
        """Strokes ``[points, 2]`` in the unit square, with the mouse, on a pad."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        where = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'});"
        box = self.script(f"{where} return arguments[0].getBoundingClientRect().toJSON()", self.find(css))
        hand = ActionBuilder(self.driver, duration=0)
        for stroke in strokes:
            for i, (x, y) in enumerate(stroke):
                hand.pointer_action.move_to_location(box["left"] + x * box["width"], box["top"] + y * box["height"])
                if i == 0:
                    hand.pointer_action.pointer_down()
            hand.pointer_action.pointer_up()
        hand.perform()

    def keys(self, keys: str) -> None:
        """To what has the focus."""
        self.driver.switch_to.active_element.send_keys(keys)

    def type(self, text: str) -> None:
        """Into what has the focus, in place of what is selected (without a keyboard's layout, keys write no text)."""
        self.cdp("Input.insertText", text=text)

    def saved(self, name: str) -> Path:
        """A file that the page has let the browser save."""
        path, end = self.downloads / name, time.monotonic() + 120
        while not path.exists():
            assert time.monotonic() < end, f"{name} was not saved: {self.errors()}"
            time.sleep(0.02)
        return path

    def errors(self) -> list[str]:
        """What the console has said since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
