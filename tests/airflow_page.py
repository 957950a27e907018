"""Airflow's page in a real browser."""

from freshet.airflow_api import USER, airflow_password


def log_in(open_page, settings):
    """A page of Airflow, logged in with the password that Airflow generated."""
    page = open_page(f"{settings.airflow_url}/")
    page.resize(1400, 900)
    page.write("input[name=username]", USER)
    page.write("input[name=password]", airflow_password(settings))
    page.click("button", "Sign in")
    page.shows("Dags", "Assets")
    return page
