"""The API's page /docs in a real browser: every route is there, and one can be tried out."""

import pytest


@pytest.fixture(scope="module")
def url(world, serve):
    """A running API over the small world."""
    return serve(world.settings)


@pytest.fixture
def page(open_page, url):
    """Its page."""
    with open_page(f"{url}/docs") as page:
        page.resize(1400, 900)
        yield page


def test_every_route_is_on_the_page_and_one_is_tried_out(page, keep_picture):
    page.shows("Freshet", "/v1/events", "/v1/recommendations", "/v1/items/{item_id}/similar", "/v1/users/{user_id}")
    keep_picture(page, "api.png")
    page.evaluate("document.querySelector('#operations-health-healthz_healthz_get, [id*=healthz] button').click()")
    page.click("button", "Try it out")
    page.click("button", "Execute")
    page.shows("Server response", "200", "Response headers")
    assert page.errors == []


def test_nothing_on_it_comes_from_elsewhere(cold_api):
    html = cold_api.get("/docs").text
    assert "//" not in html.replace("<!DOCTYPE", "").replace("window.location.protocol + '//'", "")
    assert cold_api.get("/docs-scripts/swagger-ui-bundle.js").status_code == 200
