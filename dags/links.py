"""Buttons on the page of a task that lead to the other windows: MLflow, dbt's documentation, the books of the lake.

Airflow asks for a button's address in the task's own process when the task has ended, however it ended, and keeps it as
an XCom. Until then the button leads nowhere.
"""

from collections.abc import Callable
from typing import Any

import attrs
from airflow.sdk import BaseOperatorLink, XComArg

from freshet.settings import load_settings


@attrs.frozen
class Button(BaseOperatorLink):
    """One button; ``address`` makes its link from the task instance that has ended."""

    name: str
    address: Callable[[Any], str]

    @property
    def xcom_key(self) -> str:
        """Where the link is kept."""
        return "_link_" + self.name.lower().replace(" ", "_")

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address; ``ti_key`` is the task instance itself while the task's process lives."""
        return self.address(ti_key)


def with_buttons(task: XComArg, *buttons: Button) -> XComArg:
    """Put buttons on a task's page; returns the task."""
    task.operator.operator_extra_links = buttons
    return task


def _run(instance: Any) -> str:
    from training.tracking import run_url

    settings, run_id = load_settings(), instance.xcom_pull(task_ids="fit_and_evaluate")
    if run_id is None:  # it did not come that far; what it has logged is on top of MLflow's list
        return settings.mlflow_url
    return run_url(settings.mlflow_url, settings.tracking_uri, run_id)


def _version(instance: Any) -> str:
    from training.registry import version_url

    return version_url(load_settings().mlflow_url, instance.xcom_pull(task_ids="register"))


def _versions(_: Any) -> str:
    from training.registry import MODEL_NAME

    return f"{load_settings().mlflow_url}/#/models/{MODEL_NAME}"


_FROM_LAKE_TO_MODEL = "g_v=1&g_i=%2Bexposure:freshet_recommender"
"""dbt's page with the graph opened, of all that the model comes from."""

MODEL_RUN = Button("MLflow run", _run)
MODEL_VERSION = Button("Model version", _version)
MODEL_VERSIONS = Button("Model versions", _versions)
LINEAGE = Button("dbt docs", lambda _: f"{load_settings().api_url}/lineage/#!/overview?{_FROM_LAKE_TO_MODEL}")
DATA_REPORT = Button("Data report", lambda _: f"{load_settings().api_url}/data")
