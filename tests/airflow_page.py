"""Airflow's page in a real browser."""

from contextlib import contextmanager

from freshet.airflow_api import USER, airflow_password


@contextmanager
def logged_in(open_page, settings):
    """A page of Airflow, logged in with the password that Airflow generated."""
    with open_page(f"{settings.airflow_url}/") as page:
        page.resize(1400, 900)
        page.write("input[name=username]", USER)
        page.write("input[name=password]", airflow_password(settings))
        page.click("button", "Sign in")
        page.shows("Dags", "Assets")
        yield page
