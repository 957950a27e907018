"""What every dataset promises, tested once and run for each; a new adapter adds its tests by being registered."""

import re
from itertools import chain

import pytest

from freshet.settings import PROJECT_ROOT
from ingestion.datasets import DATASETS, open_dataset
from ingestion.datasets.adapter import DatasetError
from ingestion.ingest import dataset_context, ingest_dataset
from ingestion.lake_schema import RecordType
from ingestion.landing import BATCH_SIZE, validate

OWN_FILES = "own-files"


@pytest.fixture(params=[*DATASETS, OWN_FILES])
def name(request, tmp_path, write_jsonl):
    """Each registered dataset, and a folder of somebody's own."""
    if request.param != OWN_FILES:
        return request.param
    event = {"event_type": "view", "user_id": "u1", "item_id": "i1"}
    events = [event | {"occurred_at": f"2025-03-0{day}T10:00:00Z"} for day in (1, 2, 2, 3)]
    write_jsonl(tmp_path / OWN_FILES / "events.jsonl", [*events, event | {"occurred_at": "yesterday"}])
    write_jsonl(tmp_path / OWN_FILES / "items.jsonl", [{"item_id": "i1", "title": "A thing"}])
    return str(tmp_path / OWN_FILES)


@pytest.fixture
def dataset(name, settings):
    return open_dataset(name, dataset_context(settings))


def accepted(dataset, kind):
    batches = (batch for batch in dataset.read() if batch.record_type is kind)
    return list(chain.from_iterable(validate(batch).records for batch in batches))


def test_it_says_what_it_is_and_what_one_may_do(dataset):
    assert re.fullmatch(r"[a-z0-9-]+", dataset.name)
    assert dataset.world and dataset.origin and dataset.licence


def test_it_reads_the_same_every_time(dataset, name, settings):
    again = open_dataset(name, dataset_context(settings))
    assert dataset.fingerprint() == again.fingerprint()
    assert list(dataset.read()) == list(dataset.read()) == list(again.read())


def test_it_comes_in_batches_of_events_and_items(dataset):
    batches = list(dataset.read())
    assert {RecordType.EVENT, RecordType.ITEM} <= {batch.record_type for batch in batches}
    assert all(0 < len(batch.rows) <= BATCH_SIZE for batch in batches)


def test_items_are_known_no_later_than_their_first_event(dataset):
    items = {}
    for item in accepted(dataset, RecordType.ITEM):
        items.setdefault(item.item_id, item)  # versions come in the order of time
    for event in accepted(dataset, RecordType.EVENT):
        if event.item_id is not None:
            item = items[event.item_id]
            assert max(item.updated_at, item.available_from or item.updated_at) <= event.occurred_at


def test_users_are_known_no_later_than_their_first_event(dataset):
    created_at = {user.user_id: user.created_at for user in accepted(dataset, RecordType.USER)}
    for event in accepted(dataset, RecordType.EVENT):
        assert created_at.get(event.user_id) is None or created_at[event.user_id] <= event.occurred_at


def test_its_counts_add_up_and_match_the_lake(name, settings, ask):
    report = ingest_dataset(settings, name)
    for counts in report.counts:
        assert counts.n_landed == counts.n_accepted + counts.n_duplicate + counts.n_rejected
        rejected = ask(settings.lake_dir, "rejects", "count(*)", f"WHERE record_type = '{counts.record_type}'")
        assert ask(settings.lake_dir, counts.record_type.folder, "count(*)") == [(counts.n_accepted,)]
        assert rejected == [(counts.n_rejected,)]
    assert ask(settings.lake_dir, "events", "count(*) - count(DISTINCT event_id)") == [(0,)]
    assert report.n_new > 0


def test_ingesting_it_again_changes_nothing(name, settings, files_in):
    first = ingest_dataset(settings, name)
    before = files_in(settings.home)
    second = ingest_dataset(settings, name)
    assert second == first
    assert (first.is_new, second.is_new, second.n_new) == (True, False, 0)
    assert files_in(settings.home) == before


def test_it_gives_the_same_bytes_in_another_home(name, make_settings, files_in):
    one, other = make_settings("one"), make_settings("other")
    ingest_dataset(one, name)
    ingest_dataset(other, name)
    assert files_in(one.home) == files_in(other.home)


def test_an_unknown_name_lists_the_known_ones(settings):
    with pytest.raises(DatasetError, match=r"no dataset 'netflix'.*demo,.*movielens-small"):
        open_dataset("netflix", dataset_context(settings))


def test_every_dataset_is_in_the_docs():
    for path in ("README.md", "docs/data.md"):
        text = (PROJECT_ROOT / path).read_text()
        assert all(f"`{name}`" in text for name in DATASETS)
