"""Retrain the LLM recommender, judge it beside the champion and the baselines, register it, and promote it if it wins.

**Makes** an MLflow run with every figure and plot, and a new version of `freshet-recommender`.
**From** the exported marts and Feast's service `recommender_v1`.
**Hands on** `champion`, with version and figures, when the alias moved; the API swaps the model within seconds.

Starts when features are fresh, and goes on only with a reason: no champion yet, events from after the last tick of
`FRESHET_RETRAIN_SCHEDULE` that no version has learned from, or a person who asked for it with *Trigger* and the form.
Between these, each tick of `FRESHET_UPDATE_SCHEDULE` is a reason for an **update**: the champion's choices and network
stay, and learn from what came since, in a fraction of the time. Where the world has drifted away from what the champion
knows, everything is chosen anew instead; the figures stand on its version as `drift/…`.

**Interval:** none of its own. A run learns from all that the marts hold; `freshet train --as-of` from what was known
at a moment.

**When it fails:** the champion serves on. Each step leaves its result in `models/training/`, so a cleared task
continues where it stopped. `freshet train` does the same by hand. *Not promoted* is no failure: the reason stands on
the version. While the newest data fails its tests nothing is promoted; clear `promote` once `build_marts` is green.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.alerts import ALERTING, deadline
from dags.assets import CHAMPION, ONLINE_FEATURES
from freshet.settings import load_settings


@dag(
    schedule=[ONLINE_FEATURES],
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "models", "retries": 2, "retry_delay": timedelta(seconds=10), **ALERTING},
    deadline=deadline(load_settings().training_deadline_minutes, __doc__),
    tags=["training"],
    doc_md=__doc__,
    params={
        "text_backbone": Param(
            None,
            type=["null", "string"],
            title="Text backbone",
            description="`minilm`, any Hugging Face model id, or a folder of `freshet tune-texts`. "
            "Empty: the setting FRESHET_TEXT_BACKBONE.",
        ),
        "epochs": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=200,
            title="Epochs",
            description="Passes of the sequence head at most. Empty: the setting FRESHET_TRAIN_EPOCHS.",
        ),
        "seed": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            title="Seed",
            description="Empty: the setting FRESHET_SEED.",
        ),
        "budget_minutes": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=10_000,
            title="Budget in minutes",
            description="Try fewer settings and train fewer epochs, to take about this long. "
            "Empty: the setting FRESHET_TRAIN_BUDGET_MINUTES.",
        ),
        "training": Param(
            "whole",
            enum=["whole", "update"],
            title="Training",
            description="`whole`: choose everything anew. `update`: go on from the champion with what came since.",
        ),
        "promote": Param(
            "if_better",
            enum=["if_better", "never"],
            title="Promotion",
            description="`if_better`: the gate decides. `never`: register as challenger only.",
        ),
    },
)
def retrain_recommender() -> None:
    @task(doc_md="Go on only with a reason, which the log and the return value name.")
    def find_reason() -> dict[str, Any]:
        from training.retraining import Reason, find_reason, version_to_update

        settings, context = load_settings(), get_current_context()
        if context["dag_run"].run_type == "manual":
            reason: Reason | None = Reason("a person asked for it", context["params"]["training"] == "update")
        else:
            reason = find_reason(settings)
        if reason is None:
            raise AirflowSkipException(
                "not due: no events have come after a tick of FRESHET_RETRAIN_SCHEDULE "
                f"({settings.retrain_schedule}) or, enough for an update, of FRESHET_UPDATE_SCHEDULE "
                f"({settings.update_schedule}) that the newest version has not learned from; trigger this DAG by hand "
                "to train all the same"
            )
        version = version_to_update(settings.tracking_uri) if reason.is_update else None
        return {"reason": reason.text, "update_of": version}

    @task(doc_md="Read every item's text with the backbone; only what changed is encoded anew.")
    def encode_items() -> int:
        from training.train import encode_items, load_config

        settings, config = load_config(_form())
        n_items: int = encode_items(settings, config)
        return n_items

    @task(
        doc_md="Tune on validation (an update keeps what was chosen), judge beside the baselines, refit on everything."
    )
    def fit_and_evaluate(reason: dict[str, Any]) -> str:
        from training.train import fit_and_evaluate, load_config

        settings, config = load_config(_form() | {"update_of": reason["update_of"]})
        run_id: str = fit_and_evaluate(settings, config)
        return run_id

    @task(doc_md="A new version in the registry, alias `challenger`.")
    def register(training_run: str) -> int:
        from training.registry import register_run

        return register_run(load_settings().tracking_uri, training_run)

    @task(outlets=[CHAMPION], doc_md="The gate: promote, or stay challenger with the reason written on the version.")
    def promote(version: int, *, outlet_events: Any) -> str:
        from freshet.data_quality import data_problem
        from training.promotion import promote
        from training.registry import figures

        settings = load_settings()
        if get_current_context()["params"]["promote"] == "never":
            raise AirflowSkipException(f"version {version} stays challenger, as asked")
        verdict = promote(settings.tracking_uri, version, data_problem(settings.home))
        if not verdict.promoted:
            raise AirflowSkipException(f"version {version} stays challenger: {verdict.reason}")
        outlet_events[CHAMPION].extra = {
            "version": version,
            "reason": verdict.reason,
            **figures(settings.tracking_uri, version),
        }
        return f"version {version} is champion: {verdict.reason}"

    reason = find_reason()
    training_run = fit_and_evaluate(reason)
    reason >> encode_items() >> training_run
    promote(register(training_run))


def _form() -> dict[str, Any]:
    """What the person filled in; empty fields fall back to the settings."""
    params = get_current_context()["params"]
    asked = ("text_backbone", "epochs", "seed", "budget_minutes")
    return {name: params[name] for name in asked if params[name] is not None}


retrain_recommender()
