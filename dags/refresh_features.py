"""Refresh Feast whenever the marts are new: register the definitions, fill the online store, check what it answers.

**Makes** Feast's registry and online store (`feast/`).
**From** the exported marts in `features/`.
**Hands on** `online_features`, with the rows written and checked: `retrain_recommender` starts from there, and serving
reads them all the while.

**Interval:** none of its own. A run brings the online store up to the marts as they are.

**When it fails:** serving goes on with the features it has; clear the failed task to go on from there.
`verify_features` says how many online rows differ from their mart, in which features and of whom. It has already
repaired them, and fails because the cause is still there: docs/features.md lists what it may be. By hand:
`freshet features`, `freshet features verify --all`.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

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
    @task(doc_md="One process, since importing Feast costs more than most of the work.")
    def apply_and_materialize() -> dict[str, int]:
        from freshet.feature_store import apply, materialize

        home = load_settings().home
        return {"definitions": apply(home), "materialized": materialize(home)}

    @task(outlets=[ONLINE_FEATURES], doc_md="Online rows against the marts: compare, repair, fail when many differ.")
    def verify_features(written: dict[str, int], *, outlet_events: Any) -> dict[str, dict[str, int]]:
        from freshet.feature_store import FeatureStoreError
        from nearline import verification

        settings = load_settings()
        try:
            reports = verification.verify_features(settings, settings.verify_sample_size)
        except FeatureStoreError as error:
            # A retry would find the rows repaired, and nobody would hear that they were wrong.
            raise AirflowFailException(str(error)) from error
        checked = {
            report.mart.view: {
                "checked": report.n_checked,
                "behind": report.n_behind,
                "wrong": len(report.mismatches),
                "repaired": report.n_repaired,
            }
            for report in reports
        }
        outlet_events[ONLINE_FEATURES].extra = {**written, "verified": checked}
        return checked

    verify_features(apply_and_materialize())


refresh_features()
