"""A page in a real browser, driven through the debugging port that chromium opens."""

import itertools
import json
import subprocess
import time
from contextlib import contextmanager

import httpx
from websockets.sync.client import connect


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
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(timeout=30))).get("id") != number:
            is_error = answer["params"].get("entry", {}).get("level") == "error"
            if is_error or answer["method"] == "Runtime.exceptionThrown":
                self.errors.append(answer["params"])
        return answer["result"]

    def evaluate(self, expression):
        """The value of some JavaScript."""
        return self.command("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")


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
        while not (pages := [page for page in httpx.get(address).json() if page["url"].startswith(url)]):
            time.sleep(0.05)
        with connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait(timeout=30)
