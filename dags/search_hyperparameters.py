"""Look for better settings of the sequence head, trial by trial, when a person asks.

**Makes** a study of trials under `models/search/`, a run in MLflow's experiment `freshet-search`, and
`models/hyperparameters.json`: the settings that every whole training takes from then on.
**From** the marts, as validation of a training sees them.
**Hands on** nothing: the next whole training of `retrain_recommender` reads the file, and the gate judges the model.

The first trial has the usual settings; the best other one replaces them only if it is better by a bootstrap over users.
Delete the file to go back to the usual settings.

**Interval:** none. Asked again on the same data, it goes on with the same study: finished trials are not repeated, and
asking for more of them adds the rest. Trials that the budget leaves no time for are skipped.

**When it fails:** clear the failed trials; each goes on from its last epoch. What `conclude` returns names the winner.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, TriggerRule, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from dags.alerts import ALERTING, deadline
from dags.skipped import skipped
from freshet.settings import load_settings

AT_ONCE = 1
"""Trials that run together: each trains on all cores, and the next one is chosen by what the last ones have shown."""


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "models", "retries": 2, "retry_delay": timedelta(seconds=10), **ALERTING},
    deadline=deadline(load_settings().training_deadline_minutes, __doc__),
    tags=["training"],
    doc_md=__doc__,
    params={
        "trials": Param(
            20,
            type="integer",
            minimum=2,
            maximum=200,
            title="Trials",
            description="Settings tried on this data in all, the usual ones and those of earlier searches included.",
        ),
        "budget_minutes": Param(
            60,
            type="number",
            exclusiveMinimum=0,
            maximum=10_000,
            title="Budget in minutes",
            description="No trial begins later than this after the search did.",
        ),
    },
)
def search_hyperparameters() -> None:
    @task(doc_md="Read the marts, open the study; one slot for each trial.")
    def plan_trials() -> list[int]:
        search = _search()
        search.study()
        return list(range(get_current_context()["params"]["trials"]))

    @task_group
    def try_settings(slot: int) -> None:
        @task(
            doc_md="Train and judge one trial; a cleared one goes on from its last epoch.",
            max_active_tis_per_dagrun=AT_ONCE,
            map_index_template="{{ slot }}",
        )
        def run_trial(slot: int) -> float:
            import pendulum

            context = get_current_context()
            context["slot"] = f"trial {slot}"  # type: ignore[typeddict-unknown-key]
            began, budget = context["dag_run"].start_date, context["params"]["budget_minutes"]
            if slot > 1 and pendulum.now("UTC") > began + timedelta(minutes=budget):
                raise skipped(f"the budget of {budget} minutes is spent")
            value: float = _search().run_trial(slot)
            return value

        run_trial(slot)

    @task(
        trigger_rule=TriggerRule.ALL_DONE,  # a failed trial is one less, and has told so itself
        doc_md="Compare the best trial with the usual settings, and write what trainings take from now on.",
    )
    def conclude() -> dict[str, Any]:
        from dataclasses import asdict

        from training.search import SearchError

        try:
            return asdict(_search().conclude())
        except SearchError as error:
            raise AirflowFailException(str(error)) from None

    try_settings.expand(slot=plan_trials()) >> conclude()


def _search() -> Any:
    from training.config import load_config
    from training.search import Search

    return Search.of(*load_config())


search_hyperparameters()
