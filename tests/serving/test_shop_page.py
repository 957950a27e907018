"""The page /shop in a real browser: a list, a click that changes it, a search, and text that stays text."""

import itertools
import json
import subprocess
import threading
import time

import httpx
import pytest

from serving.app import create_app

EVIL = "<img src=x onerror=\"document.title='broken into'\">"


@pytest.fixture(scope="module")
def shop_url(world):
    """A running API over the small world."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(create_app(world.settings), port=0, log_level="critical", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    while httpx.get(url + "/readyz").status_code != 200:
        time.sleep(0.1)
    yield url
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def evaluate(browser, tmp_path_factory, shop_url):
    """Evaluates JavaScript in the page, which is open for user "shopper", and returns its value."""
    from websockets.sync.client import connect

    folder = tmp_path_factory.mktemp("browser")
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", f"{shop_url}/shop?user=shopper"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port_file = folder / "DevToolsActivePort"
    while not port_file.exists() or not port_file.read_text():
        assert process.poll() is None, "the browser has ended"
        time.sleep(0.05)
    address = f"http://127.0.0.1:{port_file.read_text().split()[0]}/json"
    while not (pages := [page for page in httpx.get(address).json() if page["url"].startswith(shop_url)]):
        time.sleep(0.05)
    numbers = itertools.count(1)
    with connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as page:

        def run(expression):
            number = next(numbers)
            parameters = {"expression": expression, "returnByValue": True}
            page.send(json.dumps({"id": number, "method": "Runtime.evaluate", "params": parameters}))
            while (answer := json.loads(page.recv(timeout=30))).get("id") != number:
                pass
            return answer["result"]["result"].get("value")

        yield run
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture
def lines(evaluate):
    """The list as the page shows it: (title, what moved, reason) each."""
    script = """[...document.querySelectorAll('li')].map(
        (row) => ['title', 'moved', 'reason'].map((name) => row.querySelector('.' + name).textContent))"""
    return lambda: [tuple(line) for line in evaluate(script) or []]


def test_a_click_changes_the_list_and_the_page_says_how_fast(evaluate, lines, eventually):
    assert eventually(lambda: len(lines()) == 10)
    before = lines()
    assert before[0][0] == "Sea number 0"  # a stranger is for the sea, as the model is
    evaluate("document.querySelectorAll('li button.click')[3].click()")
    assert eventually(lambda: lines() != before)
    after = lines()
    assert "Sea number 3" not in [title for title, _, _ in after]  # met now
    assert after[0][2] == "Goes with “Sea number 3”, which you chose."
    assert any(moved.startswith("was ") for _, moved, _ in after)
    assert evaluate("/click to the list that knows of it: \\d+ ms, model/.test(document.body.innerText)")


def test_text_of_items_stays_text(evaluate, lines, shop_url, eventually):
    httpx.put(f"{shop_url}/v1/items/evil", json={"title": EVIL, "categories": [EVIL]}).raise_for_status()
    evaluate("document.getElementById('query').value = 'img src onerror document title broken into'")
    evaluate("document.querySelector('#what button').click()")
    assert eventually(lambda: EVIL in [title for title, _, _ in lines()])
    assert evaluate("document.querySelectorAll('#list img').length") == 0
    assert evaluate("document.title") == "Freshet: shop"
    httpx.delete(f"{shop_url}/v1/items/evil").raise_for_status()  # this world is others' too


def test_only_our_own_script_may_run_on_it(cold_api):
    policy = cold_api.get("/shop").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert "//" not in cold_api.get("/shop").text.replace("<!doctype", "")  # nothing from elsewhere
    assert cold_api.get("/shop.js").headers["content-type"].startswith("text/javascript")
