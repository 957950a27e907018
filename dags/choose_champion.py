"""Make a registered version the champion, or put the previous champion back, by hand.

**Makes** the alias `champion` point to another version of `freshet-recommender`; `previous` remembers the one before.
**From** the registry and what each version's run says of its quality.
**Hands on** `champion`, with version and figures, when the alias moved; the API swaps the model within seconds.

Runs when a person triggers it. `promote` asks the same gate as `retrain_recommender`; a reason overrules it, unless the
bundle does not answer, and is kept on the version. `freshet promote` and `freshet rollback` do the same.

**Interval:** none. Asking again about the champion changes nothing; a second rollback puts the newer version back.

**When it fails:** the champion serves on. The log says which version is not there, or that there is none to return to;
the versions and the reasons for and against them are on the model's page in MLflow.
"""

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from dags.alerts import ALERTING, deadline
from dags.assets import CHAMPION
from dags.links import MODEL_VERSIONS, with_buttons
from freshet.settings import load_settings


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    # Never tried again: who goes back twice stands where they began.
    default_args={"owner": "models", "retries": 0, **ALERTING},
    deadline=deadline(load_settings().batch_deadline_minutes, __doc__),
    tags=["training"],
    doc_md=__doc__,
    params={
        "action": Param(
            "promote",
            enum=["promote", "rollback"],
            title="What to do",
            description="promote: ask the gate about a version. rollback: put the previous champion back.",
        ),
        "version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Version to promote",
            description="Empty: the challenger.",
        ),
        "because": Param(
            None,
            type=["null", "string"],
            minLength=1,
            maxLength=500,
            title="Reason to overrule the gate",
            description="Empty: the gate decides.",
        ),
    },
)
def choose_champion() -> None:
    @task(outlets=[CHAMPION], doc_md="Move the aliases; refused by the gate is a failure here, as a person asked.")
    def move_aliases(*, outlet_events: Any) -> str:
        from freshet.data_quality import data_problem
        from training import registry
        from training.promotion import promote

        params, settings = get_current_context()["params"], load_settings()
        uri = settings.tracking_uri
        try:
            if params["action"] == "rollback":
                version = registry.rollback(uri).version
            else:
                version = params["version"] or registry.challenger(uri).version
                problem = data_problem(settings.home)
                verdict = promote(uri, version, problem, overruled_because=params["because"])
                if not verdict.promoted:
                    raise AirflowFailException(f"version {version} is not promoted: {verdict.reason}")
        except registry.RegistryError as error:
            raise AirflowFailException(str(error)) from None
        reason = registry.get_version(uri, version).tags["verdict_reason"]
        outlet_events[CHAMPION].extra = {"version": version, "reason": reason, **registry.figures(uri, version)}
        return f"version {version} is champion: {reason}"

    with_buttons(move_aliases(), MODEL_VERSIONS)


choose_champion()
