"""What `feature_repo/` defines: Feast's names and types are those of the marts, and of whoever asks for them."""

import shutil
import sys
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.types import Array, Float64, Int64, String, UnixTimestamp

from freshet.feature_definitions import FEATURE_REPO, feature_definitions
from freshet.feature_store import (
    CATALOGUE_SERVICE,
    MARTS,
    RECENT_EVENTS_PUSH,
    RECOMMENDER_SERVICE,
    USER_HISTORY_SERVICE,
    apply,
    open_store,
)
from nearline.user_states import STATE_COLUMNS
from serving.online_features import ACTIVITY_COLUMNS

MOMENT = pa.timestamp("us", tz="UTC")
GRAIN = {"user_id", "item_id", "event_timestamp", "activity_date", "popularity_date"}
VIEWS = [*(mart.view for mart in MARTS), "user_profiles", "item_statistics"]


@pytest.fixture(scope="module")
def home(built_home, tmp_path_factory):
    home = tmp_path_factory.mktemp("defined") / "home"
    shutil.copytree(built_home, home)
    apply(home)
    return home


@pytest.fixture(scope="module")
def store(home):
    return open_store(home)


def test_the_names_that_others_ask_for_are_defined_and_described(store):
    services = {service.name: service for service in store.list_feature_services()}
    assert set(services) >= {RECOMMENDER_SERVICE, CATALOGUE_SERVICE, USER_HISTORY_SERVICE}
    assert store.get_data_source(RECENT_EVENTS_PUSH).description
    views = store.list_feature_views()
    assert {view.name for view in views if view.online} == {mart.view for mart in MARTS}
    for definition in [*views, *services.values(), *store.list_entities()]:
        assert definition.description, definition.name
        assert definition.owner, definition.name


@pytest.mark.parametrize("view_name", VIEWS)
def test_every_feature_is_a_column_of_the_export_and_of_its_type(home, store, view_name):
    """Against the file that dbt really wrote, not against the contract that the fields were made from."""
    exported = pq.read_schema(home / "features" / f"fct_{view_name}.parquet")
    features = {field.name: field for field in store.get_feature_view(view_name).features}
    assert {*exported.names} - {*features} <= GRAIN
    for name, field in features.items():
        assert pa_type(field.dtype) == exported.field(name).type, name
        assert field.description, name


def test_the_recommenders_service_gives_what_the_worker_and_serving_read(store):
    service = store.get_feature_service(RECOMMENDER_SERVICE)
    features = [feature.name for projection in service.feature_view_projections for feature in projection.features]
    assert features == [*STATE_COLUMNS, *ACTIVITY_COLUMNS]


def test_there_are_no_other_views(store):
    assert {view.name for view in store.list_feature_views()} == set(VIEWS)


@pytest.mark.parametrize(
    ("service", "key", "entity_id", "expected"),
    [
        ("user_exploration_v1", "user_id", "ann", {"n_sessions": 3, "texts": ["flod", "schön"]}),
        ("item_exploration_v1", "item_id", "i1", {"n_users": 2, "n_impressions": 1, "n_interactions": 3}),
    ],
)
def test_whoever_explores_reads_the_newest_marts(store, service, key, entity_id, expected):
    entities = pd.DataFrame({key: [entity_id], "event_timestamp": [datetime(2026, 1, 1, tzinfo=UTC)]})
    [row] = store.get_historical_features(entities, store.get_feature_service(service)).to_arrow().to_pylist()
    assert {name: row[name] for name in expected} == expected


def test_what_the_contract_says_is_what_feast_says(store):
    [seen] = [field for field in store.get_feature_view("user_recent_events").features if field.name == "seen_item_ids"]
    assert (seen.dtype, seen.description) == (Array(String), "Every item the user ever met, sorted.")
    assert store.get_feature_view("user_activity_daily").description.startswith("One row per user and day on which")


def test_views_are_called_after_their_marts():
    assert [f"fct_{mart.view}" for mart in MARTS] == [mart.name for mart in MARTS]


def test_a_contract_that_feast_cannot_follow_is_named(home):
    with feature_definitions(home):
        contracts = sys.modules["mart_contracts"]
    assert contracts.feast_type("fct_x", "n", "bigint[]") == Array(Int64)
    with pytest.raises(ValueError, match=r"fct_x\.n is decimal\(9, 2\), which has no counterpart in Feast"):
        contracts.feast_type("fct_x", "n", "decimal(9, 2)")
    with pytest.raises(ValueError, match="no mart is called fct_nothing"):
        contracts.fields_of("fct_nothing")
    with pytest.raises(ValueError, match="fct_user_recent_events has no column activity_date"):
        contracts.fields_of("fct_user_recent_events", day="activity_date")


def test_loading_the_definitions_leaves_nothing_behind(home):
    names = {"entities", "data_sources", "feature_views", "feature_services", "mart_contracts"}
    assert not names & set(sys.modules)
    assert str(FEATURE_REPO) not in sys.path


def pa_type(feast_type):
    """The type in which Arrow holds what Feast calls so."""
    if isinstance(feast_type, Array):
        return pa.list_(pa_type(feast_type.base_type))
    return {String: pa.string(), Int64: pa.int64(), Float64: pa.float64(), UnixTimestamp: MOMENT}[feast_type]
