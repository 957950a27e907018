"""Feast over the marts of `small_world/`: what a mart holds is what is served online and joined for training."""

import math
import shutil
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.errors import FeastError
from sqlalchemy.exc import SQLAlchemyError

from freshet.feature_store import (
    MARTS,
    RECENT_EVENTS_PUSH,
    RECOMMENDER_SERVICE,
    FeatureStoreError,
    apply,
    data_end,
    materialize,
    open_store,
)

GRAIN = {"user_id", "item_id", "event_timestamp", "activity_date", "popularity_date"}
USERS = ["ann", "max", "zoë"]
STATE = [
    "recent_event_ids",
    "recent_item_ids",
    "recent_event_types",
    "recent_values",
    "recent_occurred_at",
    "seen_item_ids",
]


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(filled_home):
    return open_store(filled_home)


@pytest.fixture
def own_home(filled_home, tmp_path):
    """A filled home for a test that changes it."""
    home = tmp_path / "home"
    shutil.copytree(filled_home, home)
    apply(home)  # the registry names the exports of the home it was applied for
    return home


@pytest.mark.parametrize("mart", MARTS, ids=lambda mart: mart.view)
def test_online_is_what_the_mart_says_at_the_end_of_the_data(filled_home, store, mart):
    expected = newest_rows(filled_home, mart, data_end(filled_home))
    found = online(store, mart, list(expected))
    assert found == expected


@pytest.mark.parametrize("moment", [utc(2025, 1, 3, 8, 59), utc(2025, 1, 6), utc(2025, 3, 1)])
@pytest.mark.parametrize("mart", MARTS, ids=lambda mart: mart.view)
def test_history_is_what_the_mart_said_at_that_moment(filled_home, store, mart, moment):
    expected = newest_rows(filled_home, mart, moment)
    assert history(store, mart, list(expected), moment) == {key: values for key, (_, values) in expected.items()}


def test_history_knows_nothing_a_microsecond_before_it_was_known(store):
    known = utc(2025, 1, 5, 8)
    entities = pd.DataFrame(
        {"user_id": ["ann", "ann"], "event_timestamp": [known - timedelta(microseconds=1), known]},
    )
    rows = store.get_historical_features(entities, store.get_feature_service(RECOMMENDER_SERVICE)).to_df()
    before, at = rows.sort_values("event_timestamp").to_dict("records")
    assert before["recent_item_ids"] is None
    assert list(at["recent_item_ids"]) == ["i1", "i5", "i2", "i3", "i4", "i1"]
    assert at["n_interactions_total"] == 5  # the day's activity is known when the day is over


def test_an_unknown_user_has_no_features(store):
    found = store.get_online_features(store.get_feature_service(RECOMMENDER_SERVICE), [{"user_id": "nobody"}]).to_dict()
    assert {feature: values for feature, values in found.items() if feature != "user_id"} == {
        feature: [None] for feature in found if feature != "user_id"
    }


def test_a_second_materialisation_finds_nothing_new(own_home):
    assert materialize(own_home) == 0


def test_an_online_store_that_was_deleted_is_filled_anew(own_home):
    for file in (own_home / "feast").glob("online.db*"):
        file.unlink()
    apply(own_home)
    n_items = len(pq.read_table(MARTS[2].path(own_home))["item_id"].unique())
    assert materialize(own_home) == 2 * len(USERS) + n_items


def test_a_pushed_state_comes_back_as_it_was_pushed(own_home):
    store = open_store(own_home)
    pushed = {
        "recent_event_ids": ["e1", "e2"],
        "recent_item_ids": ["blå-å", "川"],
        "recent_event_types": ["view", "rating"],
        "recent_values": [math.nan, 3.5],  # Feast would push None as 0.0
        "recent_occurred_at": [1_735_725_600_000_001, 1_735_725_600_000_002],
        "seen_item_ids": ["blå-å", "川"],
    }
    push(store, "eva", utc(2025, 1, 7, 0, 0, 0, 1), pushed)
    returned = (utc(2025, 1, 7, 0, 0, 0, 1), pushed | {"recent_values": [None, 3.5]})
    assert online(store, MARTS[0], ["eva"])["eva"] == returned


def test_an_open_store_has_not_imported_torch(own_home):
    script = (
        "import sys\nfrom pathlib import Path\nfrom freshet.feature_store import open_store\n"
        "store = open_store(Path(sys.argv[1]))\n"
        "assert 'torch' not in sys.modules, 'imported'\n"
        "answer = store.get_online_features([sys.argv[2]], [{'user_id': 'ann'}])\n"
        "assert type(answer.to_tensor()[sys.argv[2].partition(':')[2]]).__module__ == 'torch'"
    )
    feature = "user_activity_daily:n_interactions_total"
    subprocess.run([sys.executable, "-c", script, str(own_home), feature], check=True)


def test_a_pushed_state_may_be_empty(own_home):
    store = open_store(own_home)
    push(store, "new", utc(2025, 1, 7), {feature: [] for feature in STATE})
    assert online(store, MARTS[0], ["new"])["new"] == (utc(2025, 1, 7), {feature: [] for feature in STATE})


def test_materialising_everything_again_keeps_what_was_pushed_since(own_home):
    store = open_store(own_home)
    push(store, "ann", utc(2025, 1, 5, 8, 0, 0, 1), state_of("pushed"))
    assert materialize(own_home, full=True) > 0
    known_at, ann = online(store, MARTS[0], ["ann"])["ann"]
    assert known_at == utc(2025, 1, 5, 8, 0, 0, 1)
    assert ann["recent_event_ids"] == ["pushed", "a1", "late", "a2", "a4", "a5", "a8"]


def test_a_backfill_reaches_users_whose_newest_event_is_older_than_the_last_fill(own_home):
    """Bulk history is known since it happened, so its moment does not tell that it is new."""
    mart = MARTS[0]
    table = pq.read_table(mart.path(own_home))
    backfilled = {**table.to_pylist()[0], "user_id": "old", "event_timestamp": utc(2024, 12, 1)}
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist([backfilled], table.schema)]), mart.path(own_home))
    assert materialize(own_home) == 1
    assert online(open_store(own_home), mart, ["old"])["old"] == (utc(2024, 12, 1), features_of(backfilled))


def test_reads_go_on_while_the_store_is_filled(own_home):
    store = open_store(own_home)
    service = store.get_feature_service(RECOMMENDER_SERVICE)
    failures, answers, is_done = [], [], threading.Event()

    def read():
        while not is_done.is_set():
            try:
                store.refresh_registry()  # the worst case: every read sees the state that the views are in just now
                answers.append(store.get_online_features(service, [{"user_id": "ann"}]).to_dict()["recent_event_ids"])
            except (FeastError, SQLAlchemyError, sqlite3.Error) as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(3):
        materialize(own_home, full=True)
    is_done.set()
    reader.join()
    assert failures == []
    assert len(answers) > 10
    assert all(answer == [["a1", "late", "a2", "a4", "a5", "a8"]] for answer in answers)


def test_a_late_push_never_brings_back_an_older_state(own_home):
    store = open_store(own_home)
    [(before, _)] = online(store, MARTS[0], ["ann"]).values()
    push(store, "ann", utc(2025, 1, 5, 7, 59), state_of("older"))
    known_at, ann = online(store, MARTS[0], ["ann"])["ann"]
    assert known_at == before
    assert ann["recent_event_ids"] == ["older", "a1", "late", "a2", "a4", "a5", "a8"]


def test_applying_again_keeps_how_far_the_views_are_filled(own_home):
    ends = {view.name: view.most_recent_end_time for view in open_store(own_home).list_feature_views()}
    apply(own_home)
    assert {view.name: view.most_recent_end_time for view in open_store(own_home).list_feature_views()} == ends
    assert all(ends[mart.view] for mart in MARTS)


def test_a_home_without_marts_is_refused_with_the_next_step(tmp_path):
    with pytest.raises(FeatureStoreError, match="does not exist: run `freshet transform` first"):
        apply(tmp_path)


def newest_rows(home, mart, moment):
    """What the export itself says: each entity's newest row up to the moment, without Feast or SQL."""
    newest = {}
    for row in pq.read_table(mart.path(home)).to_pylist():
        known_at, entity_id = row["event_timestamp"], row[mart.join_key]
        if known_at <= moment and (entity_id not in newest or known_at > newest[entity_id][0]):
            newest[entity_id] = (known_at, features_of(row))
    return newest


def features_of(row):
    return {name: comparable(value) for name, value in row.items() if name not in GRAIN}


def online(store, mart, entity_ids):
    view = store.get_feature_view(mart.view)
    response = store.get_online_features(
        [f"{mart.view}:{field.name}" for field in view.features],
        [{mart.join_key: entity_id} for entity_id in entity_ids],
    )
    columns, stamps = response.to_dict(), response.proto.results[-1].event_timestamps
    return {
        entity_id: (
            datetime.fromtimestamp(stamps[n].seconds, UTC).replace(microsecond=stamps[n].nanos // 1_000),
            {field.name: comparable(columns[field.name][n]) for field in view.features},
        )
        for n, entity_id in enumerate(entity_ids)
    }


def history(store, mart, entity_ids, moment):
    features = [field.name for field in store.get_feature_view(mart.view).features]
    entities = pd.DataFrame({mart.join_key: entity_ids, "event_timestamp": [moment] * len(entity_ids)})
    rows = store.get_historical_features(entities, [f"{mart.view}:{feature}" for feature in features]).to_df()
    return {
        row[mart.join_key]: {feature: comparable(row[feature]) for feature in features}
        for row in rows.to_dict("records")
    }


def comparable(value):
    """One spelling of lists, missing numbers and moments, which Arrow, pandas and Feast each spell their own way."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime()
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC)
    return None if isinstance(value, float) and math.isnan(value) else value


def state_of(name):
    return {
        "recent_event_ids": [name],
        "recent_item_ids": ["i1"],
        "recent_event_types": ["view"],
        "recent_values": [1.0],
        "recent_occurred_at": [1],
        "seen_item_ids": ["i1"],
    }


def push(store, user_id, known_at, state):
    from feast.data_source import PushMode

    frame = pd.DataFrame([{"user_id": user_id, "event_timestamp": known_at, **state}])
    store.push(RECENT_EVENTS_PUSH, frame, to=PushMode.ONLINE)
