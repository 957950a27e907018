"""Items that are put or deleted one by one leave the same snapshot as a catalogue that says so from the start."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from freshet.contract import Item
from ingestion.live_items import ItemChange
from serving.catalogue import Catalogue, CatalogueItem
from serving.current_snapshot import CurrentSnapshot
from serving.filters import ItemFilter
from serving.online_features import Popularity
from serving.schemas import ModelRef
from serving.snapshot import ServedModel
from tests.serving.worlds import ITEM_IDS, catalogue_table, recommender_for

EXPORTED_AT = datetime(2025, 6, 1, tzinfo=UTC)
FUTURE = datetime(2199, 1, 1, tzinfo=UTC)
COUNTS = {item_id: (0, place % 5, place % 7, place) for place, item_id in enumerate([*ITEM_IDS[::2], "new-1", "ghost"])}
POPULARITY = Popularity(COUNTS, EXPORTED_AT)
SOME_IDS = [*ITEM_IDS[:4], "new-1", "new-2"]
WORDS = ["lamp", "red", "sea", "number", "2"]

titles = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
labels = st.lists(st.sampled_from(["Sea", "Food", "sale"]), max_size=2, unique=True)
puts = st.builds(
    dict,
    item_id=st.sampled_from(SOME_IDS),
    title=titles,
    categories=labels,
    tags=labels,
    price=st.none() | st.sampled_from([1.0, 20.0]),
    attributes=st.sampled_from([{}, {"colour": "Red"}, {"sizes": [1, 2]}]),
    is_available=st.booleans(),
    available_from=st.sampled_from([None, EXPORTED_AT, FUTURE]),
    is_deleted=st.booleans(),
)


def changes_of(told):
    """One after the other, each a second later."""
    changes = []
    for sequence, fields in enumerate(told, start=1):
        is_deleted = fields["is_deleted"]
        item = {name: value for name, value in fields.items() if name != "is_deleted"}
        moment = EXPORTED_AT + timedelta(seconds=sequence)
        changes.append(ItemChange(sequence, Item.model_validate({**item, "updated_at": moment}), is_deleted))
    return changes


def exported(**others):
    items = {
        item_id: CatalogueItem(item_id, f"{item_id} number {place}", ("Sea",), None, True, updated_at=EXPORTED_AT)
        for place, item_id in enumerate(ITEM_IDS)
    }
    return Catalogue({**items, **others})


def current_with(catalogue):
    current, recommender = CurrentSnapshot(), recommender_for("sea")
    index = {item_id: place for place, item_id in enumerate(recommender.item_ids)}
    ref = ModelRef(name="freshet-recommender", version="1", alias="champion")
    current.set_model(ServedModel(ref, recommender, index, catalogue_table(ITEM_IDS), knows_strangers=True))
    current.set_catalogue(catalogue, POPULARITY, frozenset())
    return current


def seen_in(snapshot):
    """All that answers read of a catalogue, by item."""
    index = snapshot.catalogue.index

    def by_item(values):
        return {item_id: values[index.row_of[item_id]] for item_id in snapshot.catalogue}

    filters = (
        {"categories": {"any_of": ["sea"]}},
        {"tags": {"none_of": ["sale"]}},
        {"price": {"max": 10}},
        {"attributes": {"colour": "red"}},
        {"attributes": {"sizes": 2}},
    )
    return {
        "items": {item_id: snapshot.catalogue.get(item_id) for item_id in snapshot.catalogue},
        "size": (len(snapshot.catalogue), index.n_items),
        "available": snapshot.is_available.tolist(),
        "popular": [(line.item_id, line.reason) for line in snapshot.popular],
        "filters": [by_item(ItemFilter.model_validate(each).mask(index)) for each in filters],
        "of the model": [
            snapshot.of_model(index.names_like(text), 0).tolist() for text in ("red lamp", "sea number 2")
        ],
        "names": [by_item(index.names_like(text)) for text in ("red lamp", "a lamp", "sea number 2", "number")],
        "with a word": by_item(index.with_word("red")),
        "vocabulary": (index.labels, index.has_prices, set(index.titles)),
    }


@given(st.lists(puts, max_size=8))
def test_changes_one_by_one_are_as_good_as_another_catalogue(told):
    live = current_with(exported())
    for change in changes_of(told):
        live.change_items([change])
    catalogue = live.snapshot.catalogue
    at_once = current_with(exported(**{item_id: catalogue.get(item_id) for item_id in catalogue.changes}))
    assert seen_in(live.snapshot) == seen_in(at_once.snapshot)


@given(st.lists(puts, max_size=8))
def test_the_newest_word_on_an_item_holds(told):
    live, changes = current_with(exported()), changes_of(told)
    live.change_items(changes)
    for change in {change.item.item_id: change for change in changes}.values():
        known = live.snapshot.catalogue.get(change.item.item_id)
        assert known.is_deleted == change.is_deleted
        assert known.title == (None if change.is_deleted else change.item.title)


def test_what_a_later_export_says_replaces_what_was_put_before_it():
    live = current_with(exported())
    put = {"item_id": ITEM_IDS[0], "title": "red lamp", "is_deleted": False}
    live.change_items(changes_of([put, {**put, "item_id": "new-1"}]))
    later = CatalogueItem(ITEM_IDS[0], "blue lamp", (), None, True, updated_at=EXPORTED_AT + timedelta(days=1))
    live.set_catalogue(exported(**{ITEM_IDS[0]: later}), POPULARITY, frozenset())
    catalogue = live.snapshot.catalogue
    assert (catalogue.get(ITEM_IDS[0]).title, catalogue.get("new-1").title) == ("blue lamp", "red lamp")
    assert set(catalogue.changes) == {"new-1"}


def test_an_item_is_popular_again_when_it_is_back():
    live, first = current_with(exported()), "ghost"  # counted, though nobody described it
    put = {"item_id": first, "title": "a ghost", "is_deleted": True}
    before = [line.item_id for line in live.snapshot.popular]
    live.change_items(changes_of([put]))
    assert [line.item_id for line in live.snapshot.popular] == [item_id for item_id in before if item_id != first]
    live.change_items(changes_of([put, {**put, "is_deleted": False}])[1:])
    assert [line.item_id for line in live.snapshot.popular] == before
