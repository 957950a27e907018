"""The page / in a real browser, over the small world without Airflow and MLflow."""

import re
from pathlib import Path

import httpx
import pytest

import serving
from serving.status_board import quantile

PAGE = (Path(serving.__file__).parent / "pages" / "front.html").read_text()


@pytest.fixture(scope="module")
def settings(world, free_ports):
    mlflow, airflow = free_ports(2)
    return world.settings.model_copy(update={"mlflow_port": mlflow, "airflow_port": airflow})


@pytest.fixture(scope="module")
def url(settings, serve):
    return serve(settings)


@pytest.fixture(scope="module")
def page(open_page, url):
    for user in ("reader", "stranger"):
        httpx.get(f"{url}/v1/users/{user}/recommendations").raise_for_status()
    with open_page(url + "/") as page:
        yield page


def test_the_page_shows_the_champion_and_how_lists_were_answered(page, eventually, world):
    words = {
        f"ready, model version {world.versions[0]} answers",
        f"Champion\n\nversion {world.versions[0]}",
        "2 lists since",
        "Airflow does not answer: `make ui`",
    }

    def missing():
        text = page.evaluate("document.body?.innerText") or ""  # the page may still be on its way
        return {word for word in words if word not in text}

    assert eventually(lambda: not missing()), missing()
    assert page.errors == []


def test_its_links_lead_to_the_windows(page, eventually, settings, world):
    assert eventually(lambda: page.evaluate("document.querySelectorAll('nav a').length") == 5)
    links = page.evaluate("[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))")
    version = f"{settings.mlflow_url}/#/models/freshet-recommender/versions/{world.versions[0]}"
    assert {settings.airflow_url, settings.mlflow_url, version, "/shop", "/docs", "/lineage/", "/data"} <= set(links)


def test_every_plot_says_in_words_what_it_shows(page, eventually):
    assert eventually(lambda: page.evaluate("document.querySelectorAll('svg').length") == 2)
    labels = page.evaluate("[...document.querySelectorAll('svg')].map((plot) => plot.getAttribute('aria-label'))")
    assert labels[0].startswith("How long 2 lists took: median ")
    assert re.fullmatch(r"Events in each of the last 24 hours; \d+ today", labels[1])


def test_the_dark_page_is_dark(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    for scheme, expected in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 24, 28)")):
        page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        assert page.evaluate(colour) == expected


def luminance(colour):
    """Relative luminance, as WCAG 2 defines it."""
    digits = colour * 2 if len(colour) == 3 else colour
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "card"])
@pytest.mark.parametrize("ink", ["ink", "quiet", "good", "warn", "bad"])
def test_text_stands_out_from_its_ground(scheme, ground, ink):
    colours = dict(re.findall(r"--(\w+): #(\w+);", re.findall(r":root \{(.*?)\}", PAGE, re.DOTALL)[scheme]))
    dark, light = sorted((luminance(colours[ground]), luminance(colours[ink])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_only_our_own_script_may_run_on_it(cold_api):
    answer, shop = cold_api.get("/"), cold_api.get("/shop")
    assert answer.headers["content-security-policy"] == shop.headers["content-security-policy"]
    assert "//" not in answer.text  # nothing from elsewhere
    assert cold_api.get("/front.js").headers["content-type"].startswith("text/javascript")


def test_the_state_is_there_when_somebody_has_looked(url, eventually):
    assert eventually(lambda: httpx.get(url + "/status").status_code == 200)
    services = httpx.get(url + "/status").json()["platform"]["services"]
    assert [(service["name"], service["state"]) for service in services] == [
        ("MLflow", "silent"),
        ("Airflow", "silent"),
    ]


def test_a_quantile_lies_in_its_bucket_by_proportion():
    bounds, counts = [10.0, 20.0, None], [4, 4, 2]
    assert quantile(bounds, counts, 0.5) == 12.5  # the fifth of ten: one of the four between 10 and 20
    assert quantile(bounds, counts, 0.4) == 10.0
    assert quantile(bounds, counts, 0.99) == 20.0  # longer than 20, and nobody knows how long
    assert quantile(bounds, [0, 0, 0], 0.5) is None
