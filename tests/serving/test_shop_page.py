"""The page /shop in a real browser: a list, a click that changes it, a search, and text that stays text."""

import httpx
import pytest

EVIL = "<img src=x onerror=\"document.title='broken into'\">"


@pytest.fixture(scope="module")
def shop_url(world, serve):
    """A running API over the small world."""
    return serve(world.settings)


@pytest.fixture(scope="module")
def evaluate(open_page, shop_url):
    """Evaluates JavaScript in the page, which is open for user "shopper", and returns its value."""
    with open_page(f"{shop_url}/shop?user=shopper") as page:
        yield page.evaluate


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
