import json
import shutil
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from freshet.data_quality import DataQuality, data_problem, read_quality, record_quality
from freshet.dbt_project import DbtError, build_marts, run_results_path, target_path

BUILT_AT = datetime(2026, 3, 9, 12, tzinfo=UTC)


def record(home, since=None):
    return record_quality(home, run_results_path(home), since)


def leave_results(home, *results):
    target_path(home).mkdir(parents=True, exist_ok=True)
    found = {
        "metadata": {"generated_at": BUILT_AT.isoformat().replace("+00:00", "Z")},
        "results": [
            {"unique_id": unique_id, "status": status, "message": message} for unique_id, status, message in results
        ],
    }
    run_results_path(home).write_text(json.dumps(found))


MODEL = ("model.freshet.dim_items", "success", "OK")
BROKEN_TEST = ("test.freshet.unique_dim_items_item_id.1a2b", "fail", "Got 2 results, configured to fail if != 0")
SKIPPED = ("model.freshet.fct_interactions", "skipped", None)


def test_before_the_first_build_nothing_stops_a_promotion(tmp_path):
    assert read_quality(tmp_path) is None
    assert data_problem(tmp_path) is None


def test_a_good_build_is_kept_as_good(tmp_path):
    leave_results(tmp_path, MODEL)
    assert record(tmp_path).is_good
    assert read_quality(tmp_path) == DataQuality("2026-03-09T12:00:00Z", 1, ())
    assert data_problem(tmp_path) is None


def test_a_failed_test_is_named_and_what_was_skipped_for_it_is_not(tmp_path):
    leave_results(tmp_path, MODEL, BROKEN_TEST, SKIPPED)
    assert not record(tmp_path).is_good
    assert data_problem(tmp_path) == "unique_dim_items_item_id: Got 2 results, configured to fail if != 0"


def test_the_next_good_build_lets_promotions_go_on(tmp_path):
    leave_results(tmp_path, BROKEN_TEST)
    record(tmp_path)
    leave_results(tmp_path, MODEL)
    record(tmp_path)
    assert data_problem(tmp_path) is None


def test_results_from_before_the_build_began_mean_that_it_had_none(tmp_path):
    leave_results(tmp_path, MODEL)
    assert record(tmp_path, since=BUILT_AT).is_good
    late = record(tmp_path, since=BUILT_AT + timedelta(seconds=1))
    assert late.problems == ("dbt ended before it had results: its log says why",)


def test_a_long_list_of_problems_is_cut_with_a_count(tmp_path):
    leave_results(tmp_path, *((f"test.freshet.check_{number}.x", "fail", "bad") for number in range(7)))
    record(tmp_path)
    assert data_problem(tmp_path).endswith("check_4: bad; and 2 more")


@pytest.fixture
def broken_home(built_home, tmp_path):
    """A copy of the small world with an event that was accepted twice, as only a bug could do."""
    home = tmp_path / "home"
    shutil.copytree(built_home, home)
    events = next(path for path in (home / "lake" / "events").glob("*/*.parquet") if path.name != "schema.parquet")
    ledger = next((home / "lake" / "ingestions").glob("*.parquet"))
    duckdb.sql(
        f"copy (select * replace ('broken' as ingestion_id) from read_parquet('{events}', hive_partitioning = false))"
        f" to '{events.with_name('broken-0000.parquet')}'"
    )
    duckdb.sql(
        "copy (select * replace ('broken' as ingestion_id, 0 as n_rejected)"
        f" from '{ledger}' where record_type = 'event') to '{ledger.with_stem('broken')}'"
    )
    return home


def test_bad_data_leaves_the_exports_and_stops_promotion(broken_home):
    before = {path.name: path.read_bytes() for path in (broken_home / "features").glob("*.parquet")}
    with pytest.raises(DbtError, match="ended with 1"):
        build_marts(broken_home)
    assert {path.name: path.read_bytes() for path in (broken_home / "features").glob("*.parquet")} == before
    assert data_problem(broken_home).startswith("unique_stg_lake__events_event_id: Got 1 result")
