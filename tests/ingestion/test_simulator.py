"""The simulated world is the same for one seed, and holds what it says: taste, order, moods, and text that tells."""

import numpy as np
import pytest

from ingestion.datasets.demo import export_truth
from ingestion.simulator import LIST_LENGTH, Simulator
from ingestion.simulator_catalogue import Catalogue
from ingestion.simulator_events import CLICK, HIDE, IMPRESSION, LIKE, RATING, SEARCH, VIEW, joined
from ingestion.simulator_taxonomy import topics
from ingestion.simulator_wording import Wording
from ingestion.simulator_world import WorldConfig, build_world

CONFIG = WorldConfig(n_users=300, n_items=600, n_days=20, n_events=20_000)


@pytest.fixture(scope="module")
def world():
    return build_world(CONFIG)


@pytest.fixture(scope="module")
def events(world):
    return joined(list(Simulator(world).days()))


def of_kind(events, *kinds):
    return events.take(np.isin(events.kind, kinds))


def test_one_seed_is_one_world(world, events):
    again = joined(list(Simulator(build_world(CONFIG)).days()))
    assert all(np.array_equal(getattr(events, name), getattr(again, name), equal_nan=True) for name in vars(events))
    other = joined(list(Simulator(build_world(WorldConfig(**vars(CONFIG) | {"seed": 1}))).days()))
    assert not np.array_equal(other.item[:100], events.item[:100])


def test_there_are_about_as_many_events_as_wished(events):
    assert 0.8 * CONFIG.n_events < len(events) < 1.25 * CONFIG.n_events


def test_a_day_at_a_time_in_the_order_of_time(world):
    days = list(Simulator(world).days())
    assert len(days) == CONFIG.n_days
    assert all((np.diff(day.at_us) >= 0).all() for day in days)


def test_nobody_meets_what_is_not_there_yet(world, events):
    day = events.at_us // 86_400_000_000
    assert (world.items.first_day[events.item] <= day).all()
    assert (world.users.first_day[events.user] <= day).all()
    assert (world.items.first_day > 0).mean() > 0.2


def test_people_look_at_what_they_truly_like(world, events):
    views, rng = of_kind(events, VIEW), np.random.default_rng(0)
    anything = world.preference(views.user, rng.integers(0, CONFIG.n_items, len(views)))
    seen = world.preference(views.user, views.item)
    liked, hidden = of_kind(events, LIKE), of_kind(events, HIDE)
    assert seen.mean() > anything.mean() + 1.0
    assert world.preference(liked.user, liked.item).mean() > seen.mean() + 0.5
    assert world.preference(hidden.user, hidden.item).mean() < anything.mean() + 0.2


def test_stars_follow_the_true_preference(world, events):
    ratings = of_kind(events, RATING)
    assert set(np.unique(ratings.value)) <= {1, 2, 3, 4, 5}
    assert np.corrcoef(ratings.value, world.preference(ratings.user, ratings.item))[0, 1] > 0.3


def test_one_thing_leads_to_the_next(world, events):
    views = of_kind(events, VIEW)
    views = views.take(np.lexsort([views.at_us, views.session]))
    is_next = views.session[1:] == views.session[:-1]
    before, after = views.item[:-1][is_next], views.item[1:][is_next]
    follows = (world.items.successors[before] == after[:, None]).any(axis=1)
    assert 0.1 < follows.mean() < 0.5


def test_moods_last_within_a_session(world, events):
    views = of_kind(events, VIEW)
    views = views.take(np.lexsort([views.at_us, views.session]))
    topic, is_next = world.items.topic[views.item], views.session[1:] == views.session[:-1]
    stays = (topic[1:] == topic[:-1])[is_next].mean()
    assert stays > 3 * (np.bincount(topic) / len(topic) @ (np.bincount(topic) / len(topic)))


def test_the_top_of_a_list_is_clicked_more(events):
    shown, clicked = of_kind(events, IMPRESSION), of_kind(events, CLICK)
    per_place = np.bincount(clicked.rank, minlength=LIST_LENGTH + 1)[1:] / np.bincount(shown.rank)[1:]
    assert per_place[:2].mean() > 1.5 * per_place[-2:].mean()
    asked = {(*pair,) for pair in zip(shown.recommendation, shown.item, strict=True)}
    assert {(*pair,) for pair in zip(clicked.recommendation, clicked.item, strict=True)} <= asked


def test_some_things_are_seen_much_more_than_others(events):
    counts = np.sort(np.bincount(of_kind(events, VIEW).item, minlength=CONFIG.n_items))[::-1]
    assert counts[: CONFIG.n_items // 10].sum() > 0.25 * counts.sum()


def test_every_topic_has_words_of_its_own():
    shelves = topics()
    assert len({topic.domain for topic in shelves}) >= 12
    products = [product for topic in shelves for product in topic.products]
    assert len(products) == len(set(products)) == 6 * len(shelves)


def test_similar_items_read_alike(world):
    words = [
        set(f"{item['title']} {item['description']}".lower().replace(".", " ").replace(",", " ").split())
        for item in Catalogue(world).items()
    ]
    rng = np.random.default_rng(0)

    def overlap(pairs):
        return np.mean([len(words[one] & words[other]) / len(words[one] | words[other]) for one, other in pairs])

    def pairs_within(kind):
        groups = [np.flatnonzero(kind == value) for value in np.unique(kind)]
        return [rng.choice(group, 2, replace=False) for group in groups if len(group) > 1 for _ in range(20)]

    anywhere = overlap(rng.integers(0, CONFIG.n_items, (1_000, 2)))
    assert overlap(pairs_within(world.items.topic)) > 1.5 * anywhere
    assert overlap(pairs_within(world.items.style)) > 1.1 * anywhere
    assert abs(overlap(pairs_within(world.items.scene)) - anywhere) < 0.03  # scenes are no matter of words


def test_titles_are_many_and_readable(world):
    titles = [str(item["title"]) for item in Catalogue(world).items()]
    assert len(set(titles)) > 0.97 * len(titles)
    assert all(title[0].isupper() and 2 <= len(title.split()) <= 14 for title in titles)


def test_searches_and_reviews_use_the_topic_s_words(world, events):
    rows = events.take(np.arange(3_000))
    worded = list(Wording(world).events(0, rows, rows.at_us, [str(number) for number in range(len(rows))]))
    texts = [(event, row) for row, event in enumerate(worded) if rows.kind[row] in (SEARCH, RATING)]
    assert len(texts) > 50
    for event, row in texts:
        topic = world.topics[world.items.topic[rows.item[row]]]
        assert any(word in event["text"] for word in (*topic.products, *topic.uses, *topic.features))
        assert ("item_id" in event) == (event["event_type"] == "rating")


def test_the_truth_is_exported_and_right(world, tmp_path):
    import pyarrow.parquet as pq

    export_truth(world, tmp_path)
    users, items = pq.read_table(tmp_path / "users.parquet"), pq.read_table(tmp_path / "items.parquet")
    tastes, things = (np.stack(table["factors"].to_numpy(zero_copy_only=False)) for table in (users, items))
    assert users["user_id"][7].as_py() == "user-0007" and items["item_id"][11].as_py() == "item-0011"
    assert tastes[7] @ things[11] == pytest.approx(world.preference(np.array([7]), np.array([11]))[0], abs=1e-5)


@pytest.mark.parametrize("size", [{"n_users": 10, "n_items": 50, "n_days": 10, "n_events": 1_000}, {"n_items": 55}])
def test_small_worlds_work_too(size):
    config = WorldConfig(**vars(CONFIG) | {"n_events": 2_000} | size)
    assert sum(len(day) for day in Simulator(build_world(config)).days()) > 300
