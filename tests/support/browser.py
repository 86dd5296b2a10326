"""Debian's Chromium under test: clicked, typed into, looked at, and judged by axe."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Callable

from selenium import webdriver
from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from support.wait import until

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "build/reports/browser"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-default-apps "
    "--disable-extensions --no-default-browser-check --window-size=1100,900 --lang=en"
)
# A control by its visible text: a label, a button, a link, a summary.
BUTTON = (
    "//*[self::button or self::a or self::summary]"
    "[normalize-space(.)={0} or @aria-label={0}]"
)
LABEL = "//label[normalize-space(.)={0} or starts-with(normalize-space(.), concat({0}, ' '))]"


def quoted(text: str) -> str:
    """A text as a literal of XPath."""
    if "'" not in text:
        return f"'{text}'"
    return "concat(" + ", \"'\", ".join(f"'{part}'" for part in text.split("'")) + ")"


class Browser:
    """One Chromium with a profile of its own."""

    def __init__(self, directory: Path):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in FLAGS.split():
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={directory}")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_page_load_timeout(30)
        self.requests: list[str] = []
        self.console: list[str] = []
        axe = subprocess.run([ROOT / ".ci/axe"], capture_output=True, check=True, timeout=120)
        self.axe = Path(axe.stdout.decode().strip()).read_text()

    def close(self) -> None:
        self.driver.quit()

    # -- looking --

    def all(self, path: str) -> list[WebElement]:
        return self.driver.find_elements(By.XPATH, path)

    def text(self) -> str:
        """What stands on the page, dialogs included."""
        return self.driver.execute_script("return document.body.innerText")

    def sees(self, text: str, seconds: float = 15.0) -> None:
        try:
            until(lambda: text in self.text(), seconds, f"the page says {text!r}", 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says\n{self.text()[:1500]}") from None

    def _one(self, path: str) -> WebElement | None:
        """The one that is in front: of an open dialog if there is one."""
        dialogs = self.all("//dialog[@open]")
        inside = dialogs[-1].find_elements(By.XPATH, "." + path) if dialogs else self.all(path)
        shown = [each for each in inside if each.is_displayed()]
        return shown[0] if shown else None

    def find(self, path: str, seconds: float = 15.0) -> WebElement:
        def look() -> WebElement | None:
            try:
                return self._one(path)
            except StaleElementReferenceException:
                return None

        try:
            return until(look, seconds, f"{path} is there", 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; the page says\n{self.text()[:1500]}") from None

    def button(self, text: str) -> WebElement:
        return self.find(BUTTON.format(quoted(text)))

    def control(self, label: str) -> WebElement:
        for_id = self.find(LABEL.format(quoted(label))).get_attribute("for")
        return self.driver.find_element(By.ID, for_id)

    # -- by clicking --

    def open(self, url: str) -> None:
        self.driver.get(url)

    def click(self, text: str) -> None:
        def press() -> bool:
            try:
                self.button(text).click()
                return True
            except (StaleElementReferenceException, ElementNotInteractableException):
                return False

        until(press, 15, f"{text!r} is clicked", 0.1)

    def fill(self, label: str, text: str) -> None:
        control = self.control(label)
        control.clear()
        control.send_keys(text)

    def choose(self, label: str, text: str) -> None:
        control = self.control(label)
        control.find_element(By.XPATH, f"./option[normalize-space(.)={quoted(text)}]").click()

    # -- by keyboard --

    def keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """The name of what has the focus, as a screen reader would say it."""
        return self.driver.execute_script(
            "const e = document.activeElement;"
            "return (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || '')"
            ".trim().split('\\n')[0]"
        )

    def tab_to(self, name: str) -> None:
        """Presses Tab until `name` has the focus."""
        seen = []
        for _ in range(120):
            self.keys(Keys.TAB)
            seen.append(self.focused())
            if seen[-1] == name:
                return
        raise AssertionError(f"Tab never came to {name!r}: {seen}")

    def type_into(self, name: str, text: str) -> None:
        self.tab_to(name)
        self.keys(text)

    # -- how it looks --

    def emulate(self, width: int = 1100, dark: bool = False) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        scheme = "dark" if dark else "light"
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )

    def screenshot(self, name: str) -> Path:
        REPORTS.mkdir(parents=True, exist_ok=True)
        path = REPORTS / f"{name}.png"
        self.driver.save_screenshot(str(path))
        return path

    def judge(self, name: str) -> list[str]:
        """A screenshot, and what is wrong with the page: axe's findings, and what is too wide."""
        self.screenshot(name)
        if not self.driver.execute_script("return typeof axe === 'object'"):
            self.driver.execute_script(self.axe)
        result = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']})"
            ".then((r) => done(r.violations), (e) => done([{id: String(e), nodes: []}]));"
        )
        wrong = [
            f"{name}: axe {each['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for each in result
            for node in each["nodes"] or [{"html": ""}]
        ]
        wide = self.driver.execute_script(
            "const d = document.documentElement;"
            "return d.scrollWidth > d.clientWidth ? [d.scrollWidth, d.clientWidth] : null"
        )
        if wide:
            wrong.append(f"{name}: {wide[0]} px wide on a screen of {wide[1]}")
        return wrong

    def judge_all(self, name: str) -> list[str]:
        """The same in light and dark, on a wide screen and on one of 320 px."""
        wrong = []
        for width in (1100, 320):
            for dark in (False, True):
                self.emulate(width, dark)
                wrong += self.judge(f"{name}-{width}-{'dark' if dark else 'light'}")
        self.emulate()
        return wrong

    # -- what it did --

    def collect(self) -> None:
        """Takes the logs over: requests and messages."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        for entry in self.driver.get_log("browser"):
            self.console.append(entry["message"])

    def eventually(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        def safe() -> bool:
            try:
                return condition()
            except (StaleElementReferenceException, NoSuchElementException):
                return False

        until(safe, seconds, what, 0.1)
