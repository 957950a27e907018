"""Refresh Feast whenever the marts are new: register the definitions, fill the online store, check what it answers.

**Makes** Feast's registry and online store (`feast/`).
**From** the exported marts in `features/`.
**Hands on** `online_features`, from which `retrain_recommender` starts; serving reads them all the while.

**When it fails:** serving goes on with the features it has. `verify` names the users or items whose online row
differs from the mart; clear the DAG to materialise again. `freshet features` does the same by hand.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from dags.assets import MARTS, ONLINE_FEATURES


@dag(
    schedule=[MARTS],
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "features", "retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["features"],
    doc_md=__doc__,
)
def refresh_features() -> None:
    @task(outlets=[ONLINE_FEATURES], doc_md="One process, since importing Feast costs more than most of the work.")
    def apply_materialize_verify() -> dict[str, int]:
        from freshet.feature_store import apply, materialize, verify
        from freshet.settings import load_settings

        home = load_settings().home
        apply(home)
        n_rows = materialize(home)
        return {"materialized": n_rows, "verified": verify(home)}

    apply_materialize_verify()


refresh_features()
