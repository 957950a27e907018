"""Refresh Feast whenever the marts are new: register the definitions, fill the online store, check what it answers.

**Makes** Feast's registry and online store (`feast/`).
**From** the exported marts in `features/`.
**Hands on** `online_features`, with the rows written and checked: `retrain_recommender` starts from there, and serving
reads them all the while.

**Interval:** none of its own. A run brings the online store up to the marts as they are.

**When it fails:** serving goes on with the features it has. `verify` names the users or items whose online row
differs from the mart; clear the DAG to materialise again. `freshet features` does the same by hand.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task

from dags.alerts import ALERTING, deadline
from dags.assets import MARTS, ONLINE_FEATURES
from freshet.settings import load_settings


@dag(
    schedule=[MARTS],
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "features", "retries": 2, "retry_delay": timedelta(seconds=10), **ALERTING},
    deadline=deadline(load_settings().batch_deadline_minutes, __doc__),
    tags=["features"],
    doc_md=__doc__,
)
def refresh_features() -> None:
    @task(outlets=[ONLINE_FEATURES], doc_md="One process, since importing Feast costs more than most of the work.")
    def apply_materialize_verify(*, outlet_events: Any) -> dict[str, int]:
        from freshet.feature_store import apply, materialize, verify

        home = load_settings().home
        done = {"definitions": apply(home), "materialized": materialize(home), "verified": verify(home)}
        outlet_events[ONLINE_FEATURES].extra = done
        return done

    apply_materialize_verify()


refresh_features()
