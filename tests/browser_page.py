"""A page in a real browser, driven through the debugging port that chromium opens."""

import base64
import itertools
import json
import subprocess
import time
from contextlib import contextmanager

import httpx
from websockets.sync.client import connect

SECONDS = 60
"""How long a page may take to show something; nothing is said about speed."""


class Page:
    """One page in a browser, driven through its debugging port."""

    def __init__(self, connection):
        """Reports from now on, and what was reported before."""
        self._connection, self._numbers = connection, itertools.count(1)
        self.errors = []
        for part in ("Runtime", "Log"):
            self.command(f"{part}.enable")

    def command(self, method, **parameters):
        """Give a command of the browser's protocol, and return its result."""
        answer = self._ask(method, parameters)
        assert "result" in answer, f"{method}: {answer}"
        return answer["result"]

    def _ask(self, method, parameters):
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(timeout=30))).get("id") != number:
            is_error = answer["params"].get("entry", {}).get("level") == "error"
            if is_error or answer["method"] == "Runtime.exceptionThrown":
                self.errors.append(answer["params"])
        return answer

    def evaluate(self, expression):
        """The value of some JavaScript; asked again where the page has just left for another address."""
        end = time.monotonic() + SECONDS
        while "result" not in (
            answer := self._ask("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        ):
            assert "navigated" in answer["error"]["message"] and time.monotonic() < end, answer
            time.sleep(0.1)
        return answer["result"]["result"].get("value")

    def go(self, url):
        """Leave for another address, which may not be there yet when this returns."""
        self.command("Page.navigate", url=url)

    def resize(self, width, height):
        """Make the window so large, in pixels."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def text(self):
        """What a person can read on the page."""
        return self.evaluate("document.body?.innerText") or ""

    def wait_for(self, expression, what=None):
        """The value of some JavaScript as soon as it is there."""
        end = time.monotonic() + SECONDS
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < end, f"no {what or expression} on {self.evaluate('location.href')}: {self.text()}"
            time.sleep(0.1)
        return found

    def shows(self, *words):
        """Wait until the page shows all these words."""
        for word in words:
            self.wait_for(f"document.body?.innerText.includes({json.dumps(word)})", word)

    def click(self, selector, words=""):
        """Click on the first thing of a kind that has these words on it or in its label, as soon as it is there."""
        found = f"""[...document.querySelectorAll({json.dumps(selector)})].find((thing) =>
            `${{thing.innerText}} ${{thing.getAttribute("aria-label")}}`.includes({json.dumps(words)}))"""
        self.wait_for(f"!!({found})", f"{selector} {words}")
        self.evaluate(f"({found}).click()")

    def write(self, selector, text):
        """Type into a field, and leave it."""
        self.wait_for(f"!!document.querySelector({json.dumps(selector)})")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.command("Input.insertText", text=text)
        self.evaluate("document.activeElement.blur()")

    def picture(self):
        """What is seen, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot")["data"])


@contextmanager
def opened_page(browser, folder, url):
    """The page of an address, in a browser of its own whose profile lies in ``folder``."""
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file = folder / "DevToolsActivePort"
        while not port_file.exists() or not port_file.read_text():
            assert process.poll() is None, "the browser has ended"
            time.sleep(0.05)
        address = f"http://127.0.0.1:{port_file.read_text().split()[0]}/json"
        end = time.monotonic() + SECONDS
        while not (pages := [page for page in httpx.get(address).json() if page["url"].startswith(url)]):
            assert time.monotonic() < end, f"the browser does not open {url}"
            time.sleep(0.05)
        with connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait(timeout=30)
