"""Refresh Feast whenever the marts are new: register the definitions, fill the online store, check what it answers.

**Makes** Feast's registry and online store (`feast/`).
**From** the exported marts in `features/`.
**Hands on** `online_features`, from which `retrain_recommender` starts; serving reads them all the while.

**When it fails:** serving goes on with the features it has; clear the failed task to go on from there.
`verify_features` says how many online rows differ from their mart, in which features and of whom. It has already
repaired them, and fails because the cause is still there: docs/features.md lists what it may be. By hand:
`freshet features`, `freshet features verify --all`.
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
    @task(doc_md="One process, since importing Feast costs more than most of the work.")
    def apply_and_materialize() -> dict[str, int]:
        from freshet.feature_store import apply, materialize
        from freshet.settings import load_settings

        home = load_settings().home
        return {"definitions": apply(home), "materialized": materialize(home)}

    @task(outlets=[ONLINE_FEATURES], doc_md="Online rows against the marts: compare, repair, fail when many differ.")
    def verify_features() -> dict[str, dict[str, int]]:
        from freshet.settings import load_settings
        from nearline import verification

        settings = load_settings()
        reports = verification.verify_features(settings, settings.verify_sample_size)
        return {
            report.mart.view: {
                "checked": report.n_checked,
                "behind": report.n_behind,
                "wrong": len(report.mismatches),
                "repaired": report.n_repaired,
            }
            for report in reports
        }

    apply_and_materialize() >> verify_features()


refresh_features()
