"""The page /shop in a real browser: a list, a click that changes it, a search, and text that stays text."""

import httpx
import pytest

EVIL = "<img src=x onerror=\"document.title='broken into'\">"


@pytest.fixture(scope="module")
def shop_url(world, serve):
    """A running API over the small world."""
    return serve(world.settings)


@pytest.fixture(scope="module")
def page(open_page, shop_url):
    """The page, open for user "shopper"."""
    with open_page(f"{shop_url}/shop?user=shopper") as page:
        yield page


@pytest.fixture(scope="module")
def evaluate(page):
    """Evaluates JavaScript in the page, and returns its value."""
    return page.evaluate


@pytest.fixture
def lines(evaluate):
    """The list as the page shows it: (title, what moved, reason) each."""
    script = """[...document.querySelectorAll('li')].map(
        (row) => ['title', 'moved', 'reason'].map((name) => row.querySelector('.' + name).textContent))"""
    return lambda: [tuple(line) for line in evaluate(script) or []]


def test_a_click_changes_the_list_and_the_page_says_how_fast(page, evaluate, lines, eventually):
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
    assert page.errors == []


def test_who_asks_sees_the_gate_the_profile_and_what_each_line_is_made_of(page, evaluate, eventually):
    assert evaluate("document.querySelectorAll('.parts').length") == 0
    evaluate("document.querySelector('#why summary').click()")
    page.shows("Moment: inside. The session counts a = 50 %, what was before it 50 %.")
    page.shows("1 items met, 1 events in this session. Interests: sea 100 %.")
    parts = evaluate("[...document.querySelectorAll('.parts')].map((line) => line.textContent)")
    assert len(parts) == 10
    assert all(line.startswith("model · item_item ") for line in parts[:2])
    evaluate("document.querySelector('#why summary').click()")
    assert eventually(lambda: evaluate("document.querySelectorAll('.parts').length") == 0)


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
